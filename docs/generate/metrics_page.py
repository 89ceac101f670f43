"""Writes `docs/metrics.md` from the services' own registries: `make metrics-page`. A test says when it is out of date."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.metrics import MetricWrapperBase

from producer_gateway.counters import CounterFamily, HistogramFamily
from producer_gateway.events.project_metrics import ProjectMetrics
from producer_gateway.metrics import GatewayMetrics
from query_service.metrics import QueryMetrics
from stream_workers.metrics import WorkerMetrics

PAGE: Final = Path(__file__).parents[2] / "docs" / "metrics.md"
_UNITS: Final[Mapping[str, str]] = {"seconds": "s", "bytes": "bytes"}
_HEAD: Final = """# Metrics of the services

Every metric that a process shows at `/metrics`. `make metrics-page` writes this page from the services' code. Labels come from
closed sets of our own; `project` names the first projects that a gateway sees.
[Runbooks](runbooks/README.md) has the alerts made of them.
"""
Described = tuple[str, str, tuple[str, ...], str, str]


def page() -> str:
    """The whole page."""
    sections = (f"## {title}\n\n" + "\n".join(_table(registry)) + "\n" for title, registry in _registries().items())
    return "\n".join([_HEAD, *sections])


def described() -> list[Described]:
    """Every metric: name as Prometheus shows it, type, labels, unit, meaning."""
    return [one for registry in _registries().values() for one in _of(registry)]


def _registries() -> Mapping[str, CollectorRegistry]:
    gateway = GatewayMetrics().registry
    ProjectMetrics(projects_max=1, registry=gateway)
    return {"Gateway": gateway, "Worker": WorkerMetrics().registry, "Query service": QueryMetrics().registry}


def _table(registry: CollectorRegistry) -> Iterator[str]:
    yield "| metric | type | labels | unit | meaning |"
    yield "|---|---|---|---|---|"
    for name, kind, labels, unit, meaning in _of(registry):
        yield f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {unit} | {meaning} |"


def _of(registry: CollectorRegistry) -> Iterator[Described]:
    for collector in registry._collector_to_names:  # noqa: SLF001 - labels of what has no sample yet stand nowhere else
        assert isinstance(collector, MetricWrapperBase | CounterFamily | HistogramFamily)
        names = collector._labelnames if isinstance(collector, MetricWrapperBase) else collector._labels  # noqa: SLF001
        for metric in collector.collect():
            yield _shown_name(metric), metric.type, tuple(names), _unit(metric), metric.documentation


def _shown_name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def _unit(metric: Metric) -> str:
    return next((short for word, short in _UNITS.items() if metric.name.endswith(f"_{word}")), "1")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
