"""The JSON form of agents, versions and names."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from agenttracer.wire.vocabulary import RunStatus, StepKind
from query_service.aggregate import RunTotals
from query_service.api.run_schema import ResponseSchema
from query_service.api.stats_schema import Latency, Window

NAMES_MAX: Final = 200
"""Names of a kind: more than a list to choose from should have."""
_FIGURES: Final[dict[str, Any]] = {
    "first_seen": "2026-01-24T09:00:00Z",
    "last_seen": "2026-01-31T11:58:00Z",
    "runs": 120,
    "by_status": {"running": 2, "success": 97, "partial": 3, "failure": 17, "abandoned": 1},
    "failure_rate": 0.15254237288135594,
    "latency_ms": {"p50": 1867.7755, "p95": 4063.2315, "p99": 5898.2395},
}
_WINDOW: Final = {"since": "2026-01-24T12:00:00Z", "until": "2026-01-31T12:00:00Z"}
_AGENTS: Final[dict[str, Any]] = {
    "window": _WINDOW,
    "agents": [{**_FIGURES, "agent_id": "support-bot", "versions": [{**_FIGURES, "agent_version": "1.4.0"}]}],
}
_NAMES: Final[dict[str, Any]] = {
    "window": _WINDOW,
    "names": {
        "agent": [{"name": "support-bot", "kind": None, "count": 120}],
        "version": [{"name": "1.4.0", "kind": None, "count": 120}],
        "status": [{"name": "success", "kind": None, "count": 97}],
        "failure_code": [{"name": "timeout", "kind": None, "count": 17}],
        "step": [{"name": "search_orders", "kind": "tool", "count": 241}],
        "tool": [{"name": "search_orders", "kind": "tool", "count": 241}],
        "model": [{"name": "gpt-4o", "kind": None, "count": 120}],
    },
    "more": {
        "agent": False,
        "version": False,
        "status": False,
        "failure_code": False,
        "step": False,
        "tool": False,
        "model": False,
    },
}


class _Figures(ResponseSchema):
    first_seen: Annotated[
        datetime, Field(description="When its first run began, to the hour or, where hours are kept no more, to the day of UTC.")
    ]
    last_seen: Annotated[datetime, Field(description="When its last run began, as precisely.")]
    runs: Annotated[int, Field(description="Of the window, as all figures below.")]
    by_status: Mapping[RunStatus, int]
    failure_rate: Annotated[
        float | None, Field(description="(failure + abandoned) of all runs that are not running; null while all are.")
    ]
    latency_ms: Annotated[Latency | None, Field(description="Of the runs that ended; null where none has.")]


def figures(totals: RunTotals, *, first: datetime, last: datetime) -> dict[str, Any]:
    """The members that agents and versions have in common."""
    return {
        "first_seen": first,
        "last_seen": last,
        "runs": totals.runs,
        "by_status": {status: totals.by_status[status] for status in RunStatus},
        "failure_rate": totals.failure_rate,
        "latency_ms": Latency.of(totals.buckets),
    }


class VersionSchema(_Figures):
    """One version of an agent."""

    agent_version: str


class AgentSchema(_Figures):
    """One agent with all its versions."""

    agent_id: str
    versions: Annotated[list[VersionSchema], Field(description="The one that was first seen last comes first.")]


class AgentsSchema(ResponseSchema):
    """Agents by name."""

    model_config = ConfigDict(json_schema_extra={"examples": [_AGENTS]})

    window: Window
    agents: Annotated[list[AgentSchema], Field(description="Also those without a run in the window.")]


class FacetName(ResponseSchema):
    """A name, and how often it stands in the window."""

    name: str
    kind: Annotated[StepKind | None, Field(description="Of a step; null of all else.")] = None
    count: Annotated[int, Field(description="Runs; for steps, tools and models: steps.")]


class FacetsSchema(ResponseSchema):
    """Names by kind, the most frequent first."""

    agent: list[FacetName]
    version: list[FacetName]
    status: list[FacetName]
    failure_code: Annotated[list[FacetName], Field(description="Of the runs' first failures.")]
    step: list[FacetName]
    tool: Annotated[list[FacetName], Field(description="Steps of the kind `tool`.")]
    model: list[FacetName]


class NamesSchema(ResponseSchema):
    """What can be filtered by in a window."""

    model_config = ConfigDict(json_schema_extra={"examples": [_NAMES]})

    window: Window
    names: FacetsSchema
    more: Annotated[Mapping[str, bool], Field(description=f"Whether there are more names of a kind than the {NAMES_MAX} listed.")]
