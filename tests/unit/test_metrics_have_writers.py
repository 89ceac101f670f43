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
from producer_gateway.counters import CounterFamily, HistogramFamily, PlainCounter, PlainHistogram
from producer_gateway.events.project_metrics import ProjectMetrics

ROOT = Path(__file__).parents[2]
KINDS = MetricWrapperBase | PlainCounter | CounterFamily | PlainHistogram | HistogramFamily


@pytest.mark.parametrize(
    "declared",
    [
        stream_workers.metrics.WorkerMetrics(),
        producer_gateway.metrics.GatewayMetrics(),
        ProjectMetrics(projects_max=1, registry=CollectorRegistry()),
        query_service.metrics.QueryMetrics(),
    ],
    ids=lambda declared: type(declared).__module__,
)
def test_every_metric_has_a_writer(declared: Any) -> None:
    """Somewhere in its package it is written by the name under which it is declared, or handed on to whoever writes it."""
    package = ROOT / type(declared).__module__.partition(".")[0]
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py")))
    names = [name for name, one in vars(declared).items() if isinstance(one, KINDS)]
    assert len(names) > 3
    unwritten = [
        name for name in names if not re.search(rf"metrics\.{name}\b|self\.{name}(\.(labels|inc|observe|of)\b|[,)])", source)
    ]
    assert unwritten == []
