"""The query API's answers, as far as the demo reads them. Shapes only: nothing is fetched, judged or shown here.

Written down from the API's document on purpose, not imported: the demo knows no more of the query service than any client.
"""

from typing import Literal, TypedDict


class FirstFailure(TypedDict):
    """The failure that a run is known by."""

    failure_type: str
    failure_code: str
    failure_id: str


class Completeness(TypedDict):
    """Whether all of a run arrived; `stored_events` are those of its events that the store holds."""

    state: Literal["complete", "lost", "unknown"]
    lost_events: int
    stored_events: int


class Run(TypedDict):
    """One run of `/v1/runs`."""

    run_id: str
    agent_id: str
    agent_version: str
    status: str
    latency_ms: float | None
    step_count: int
    error_step_count: int
    failure_count: int
    failure: FirstFailure | None
    completeness: Completeness


class Step(TypedDict):
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


class Failure(TypedDict):
    """One failure of `/v1/runs/{run_id}/failures`; `step_id` is null where it is the whole run's."""

    failure_type: str
    failure_code: str
    rule_id: str
    step_id: str | None
    error_class: str | None


class Latency(TypedDict):
    """Percentiles in milliseconds."""

    p50: float
    p95: float
    p99: float


class Window(TypedDict):
    """The whole minutes that statistics were made of, in ISO 8601."""

    since: str
    until: str


class StepStats(TypedDict):
    """One line of the steps of `/v1/stats`."""

    agent_id: str
    agent_version: str
    kind: str
    name: str
    steps: int
    errors: int
    error_rate: float
    latency_ms: Latency | None


class AgentStats(TypedDict):
    """One line of the agents of `/v1/stats`."""

    agent_id: str
    agent_version: str
    runs: int
    failure_rate: float | None
    latency_ms: Latency | None


class Stats(TypedDict):
    """All of `/v1/stats`."""

    window: Window
    agents: list[AgentStats]
    steps: list[StepStats]
