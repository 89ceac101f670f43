"""Types of the query API's JSON, as far as the demo reads it.

They follow the API's OpenAPI document and are not imported from the query service: the demo is a client like any other.
"""

from typing import Literal, TypedDict


class FirstFailureJson(TypedDict):
    """The failure that a run is known by."""

    failure_type: str
    failure_code: str
    failure_id: str


class CompletenessJson(TypedDict):
    """Whether all of a run arrived; `stored_events` are those of its events that the store holds."""

    state: Literal["complete", "lost", "unknown"]
    lost_events: int
    stored_events: int


class RunJson(TypedDict):
    """One run of `/v1/runs`."""

    run_id: str
    agent_id: str
    agent_version: str
    status: str
    latency_ms: float | None
    step_count: int
    error_step_count: int
    failure_count: int
    failure: FirstFailureJson | None
    completeness: CompletenessJson


class StepJson(TypedDict):
    """One step of `/v1/runs/{run_id}/steps`; `offset_ms` counts from the run's start.

    `cause_step_id` names the nested step whose error passed through this one.
    """

    step_id: str
    parent_step_id: str | None
    cause_step_id: str | None
    kind: str
    name: str
    status: Literal["ok", "error"]
    attempt: int
    offset_ms: float
    latency_ms: float


class FailureJson(TypedDict):
    """One failure of `/v1/runs/{run_id}/failures`; `step_id` is null where it is the whole run's."""

    failure_type: str
    failure_code: str
    rule_id: str
    step_id: str | None
    error_class: str | None


class LatencyJson(TypedDict):
    """Percentiles in milliseconds."""

    p50: float
    p95: float
    p99: float


class WindowJson(TypedDict):
    """The whole minutes that statistics were made of, in ISO 8601."""

    since: str
    until: str


class StepStatsJson(TypedDict):
    """One line of the steps of `/v1/stats`."""

    agent_id: str
    agent_version: str
    kind: str
    name: str
    steps: int
    errors: int
    error_rate: float
    latency_ms: LatencyJson | None


class AgentStatsJson(TypedDict):
    """One line of the agents of `/v1/stats`."""

    agent_id: str
    agent_version: str
    runs: int
    failure_rate: float | None
    latency_ms: LatencyJson | None


class StatsJson(TypedDict):
    """All of `/v1/stats`."""

    window: WindowJson
    agents: list[AgentStatsJson]
    steps: list[StepStatsJson]
