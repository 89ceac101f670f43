"""A metric that is declared and never written shows 0 for ever, which says that all is well."""

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

import producer_gateway.metrics
import query_service.metrics
import stream_workers.metrics
from producer_gateway.project_metrics import ProjectMetrics

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "declared",
    [
        stream_workers.metrics.Metrics(),
        producer_gateway.metrics.Metrics(),
        ProjectMetrics(projects_max=1, registry=CollectorRegistry()),
        query_service.metrics.Metrics(),
    ],
    ids=lambda declared: type(declared).__module__,
)
def test_every_metric_has_a_writer(declared: Any) -> None:
    """Somewhere in its package by the name under which it is declared, or by a method of the class that declares it."""
    package = ROOT / type(declared).__module__.partition(".")[0]
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py")))
    names = [name for name, one in vars(declared).items() if isinstance(one, MetricWrapperBase)]
    assert len(names) > 3
    unwritten = [name for name in names if not re.search(rf"metrics\.{name}\b|self\.{name}\.(labels|inc|observe)\b", source)]
    assert unwritten == []
