"""Writes Grafana's dashboards to `deploy/grafana/dashboards`: `make dashboards`. A test says when they are out of date.

A panel is a title, a unit and expressions with their legends. Place and form follow from the order, so that all look alike.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
_PANELS_A_ROW: Final = 3
_WIDTH: Final = 24 // _PANELS_A_ROW
_HEIGHT: Final = 8
_SOURCE: Final = {"type": "prometheus", "uid": "agenttracer"}


class Panel(NamedTuple):
    """One chart of lines over time: `lines` are expressions by legend."""

    title: str
    unit: str
    lines: Mapping[str, str]


def _p99(histogram: str, *, by: str = "", where: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile(0.99, sum by ({labels}) (rate({histogram}_bucket{where}[5m])))"


def _rate(counter: str, *, by: str = "", where: str = "") -> str:
    return f"sum by ({by}) (rate({counter}{where}[5m]))" if by else f"sum(rate({counter}{where}[5m]))"


_ACCEPTED: Final = _rate("agenttracer_gateway_events_accepted_total")
_STORED: Final = _rate("agenttracer_worker_events_total")
_LAG: Final = "max(agenttracer_worker_lag_seconds)"
_OF_PROJECT: Final = '{project="$project"}'

DASHBOARDS: Final[Mapping[str, tuple[str, Sequence[Panel]]]] = {
    "fleet": (
        "AgentTracer: fleet",
        (
            Panel("Events", "cps", {"accepted": _ACCEPTED, "read by workers": _STORED}),
            Panel("Time until stored", "s", {"oldest record": _LAG}),
            Panel("Until Kafka may delete", "s", {"least margin": "min(agenttracer_worker_retention_margin_seconds)"}),
            Panel("Requests refused", "cps", {"{{code}}": _rate("agenttracer_gateway_requests_refused_total", by="code")}),
            Panel(
                "Dead letters", "short", {"{{reason}}": "sum by (reason) (increase(agenttracer_worker_dead_letters_total[1h]))"}
            ),
            Panel("Answers", "reqps", {"{{status_class}}": _rate("agenttracer_query_requests_total", by="status_class")}),
            Panel("Processes up", "short", {"{{job}}": 'sum by (job) (up{job=~"agenttracer-.*"})'}),
            Panel(
                "Age of API keys",
                "s",
                {"{{instance}}": 'max by (instance) ({__name__=~"agenttracer_(gateway|query)_keys_age_seconds"})'},
            ),
            Panel("Statistics not yet compacted", "short", {"deltas": "max(agenttracer_worker_deltas_waiting)"}),
        ),
    ),
    "gateways": (
        "AgentTracer: gateways",
        (
            Panel("Events accepted", "cps", {"{{instance}}": _rate("agenttracer_gateway_events_accepted_total", by="instance")}),
            Panel("Kafka's acknowledgement, p99", "s", {"{{instance}}": _p99("agenttracer_gateway_ack_seconds", by="instance")}),
            Panel(
                "Bytes received, inflated", "Bps", {"{{instance}}": _rate("agenttracer_gateway_body_bytes_total", by="instance")}
            ),
            Panel("Events refused", "cps", {"{{reason}}": _rate("agenttracer_gateway_events_refused_total", by="reason")}),
            Panel("Requests refused", "cps", {"{{code}}": _rate("agenttracer_gateway_requests_refused_total", by="code")}),
            Panel("Values left out", "cps", {"{{rule}}": _rate("agenttracer_gateway_values_dropped_total", by="rule")}),
            Panel("In flight", "short", {"requests": "sum(agenttracer_gateway_in_flight_requests)"}),
            Panel("Connections", "short", {"{{instance}}": "sum by (instance) (agenttracer_gateway_connections)"}),
            Panel("Connections ended", "cps", {"{{reason}}": _rate("agenttracer_gateway_connections_closed_total", by="reason")}),
            Panel(
                "Errors of Kafka", "cps", {"{{error_class}}": _rate("agenttracer_gateway_produce_errors_total", by="error_class")}
            ),
        ),
    ),
    "workers": (
        "AgentTracer: workers",
        (
            Panel("Events read", "cps", {"{{instance}}": _rate("agenttracer_worker_events_total", by="instance")}),
            Panel("Lag by partition", "s", {"{{partition}}": "max by (partition) (agenttracer_worker_lag_seconds)"}),
            Panel("Transactions, p99", "s", {"{{instance}}": _p99("agenttracer_worker_transaction_seconds", by="instance")}),
            Panel("Tried again", "cps", {"{{reason}}": _rate("agenttracer_worker_retries_total", by="reason")}),
            Panel("Rows stored already", "cps", {"rows": _rate("agenttracer_worker_rows_repeated_total")}),
            Panel("Partitions unread", "short", {"{{instance}}": "max by (instance) (agenttracer_worker_unread_partitions)"}),
            Panel("CPU by stage", "percentunit", {"{{stage}}": _rate("agenttracer_worker_stage_cpu_seconds_total", by="stage")}),
            Panel("Refused writes of others", "short", {"writes": "sum(increase(agenttracer_worker_zombie_writes_total[1h]))"}),
            Panel(
                "Time spent compacting",
                "percentunit",
                {"{{instance}}": _rate("agenttracer_worker_compaction_seconds_total", by="instance")},
            ),
        ),
    ),
    "query-services": (
        "AgentTracer: query services",
        (
            Panel("Requests by route", "reqps", {"{{route}}": _rate("agenttracer_query_requests_total", by="route")}),
            Panel("Answers, p99 by route", "s", {"{{route}}": _p99("agenttracer_query_request_seconds", by="route")}),
            Panel(
                "Errors",
                "reqps",
                {"{{route}}": _rate("agenttracer_query_requests_total", by="route", where='{status_class="5xx"}')},
            ),
            Panel("In flight", "short", {"{{instance}}": "sum by (instance) (agenttracer_query_in_flight_requests)"}),
        ),
    ),
    "project": (
        "AgentTracer: one project",
        (
            Panel(
                "Events accepted",
                "cps",
                {"events": _rate("agenttracer_gateway_project_events_accepted_total", where=_OF_PROJECT)},
            ),
            Panel("Bytes, inflated", "Bps", {"bytes": _rate("agenttracer_gateway_project_body_bytes_total", where=_OF_PROJECT)}),
            Panel("Accepted within, p99", "s", {"p99": _p99("agenttracer_gateway_project_ack_seconds", where=_OF_PROJECT)}),
            Panel(
                "Requests refused",
                "cps",
                {"{{code}}": _rate("agenttracer_gateway_project_requests_refused_total", by="code", where=_OF_PROJECT)},
            ),
            Panel(
                "Events refused",
                "cps",
                {"{{reason}}": _rate("agenttracer_gateway_project_events_refused_total", by="reason", where=_OF_PROJECT)},
            ),
            Panel(
                "Values left out",
                "cps",
                {"{{rule}}": _rate("agenttracer_gateway_project_values_dropped_total", by="rule", where=_OF_PROJECT)},
            ),
        ),
    ),
}


def documents() -> dict[str, str]:
    """Each dashboard's JSON by the name of its file."""
    return {f"{name}.json": json.dumps(_dashboard(name, *one), indent=1) + "\n" for name, one in DASHBOARDS.items()}


def expressions() -> list[str]:
    """All expressions of all panels."""
    return [expression for _, panels in DASHBOARDS.values() for panel in panels for expression in panel.lines.values()]


def _dashboard(name: str, title: str, panels: Sequence[Panel]) -> dict[str, Any]:
    of_project = any("$project" in expression for panel in panels for expression in panel.lines.values())
    return {
        "uid": f"agenttracer-{name}",
        "title": title,
        "tags": ["agenttracer"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_PROJECTS] if of_project else []},
        "panels": [_panel(at, panel) for at, panel in enumerate(panels)],
    }


_PROJECTS: Final = {
    "name": "project",
    "type": "query",
    "datasource": _SOURCE,
    "query": "label_values(agenttracer_gateway_project_events_accepted_total, project)",
    "refresh": 2,
}


def _panel(at: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(at, _PANELS_A_ROW)
    targets = [
        {"refId": chr(ord("A") + number), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
        for number, (legend, expression) in enumerate(panel.lines.items())
    ]
    return {
        "id": at + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": targets,
    }


if __name__ == "__main__":
    for file, text in documents().items():
        (FOLDER / file).write_text(text, encoding="utf-8")
