"""Answers of the query API for tests of the demo, with as little said as possible. Nothing else uses this."""

from typing import Literal

from agenttracer_cli.demo.responses import AgentStatsJson, FailureJson, FirstFailureJson, RunJson, StepJson, StepStatsJson


def a_run(
    run_id: str = "r1",
    *,
    status: str = "success",
    code: str | None = None,
    stored: int = 3,
    latency_ms: float | None = 100.0,
) -> RunJson:
    """A run; with a code it has one failure."""
    failure: FirstFailureJson | None = None
    if code is not None:
        failure = {"failure_type": "tool", "failure_code": code, "failure_id": "s1"}
    return {
        "run_id": run_id,
        "agent_id": "agent",
        "agent_version": "1",
        "status": status,
        "latency_ms": latency_ms,
        "step_count": 1,
        "error_step_count": 0,
        "failure_count": int(code is not None),
        "failure": failure,
        "completeness": {"state": "complete", "lost_events": 0, "stored_events": stored},
    }


def a_step(
    step_id: str,
    *,
    parent: str | None = None,
    cause: str | None = None,
    status: Literal["ok", "error"] = "ok",
    attempt: int = 1,
    offset_ms: float = 0.0,
    latency_ms: float = 10.0,
) -> StepJson:
    """A tool's step, named like its id."""
    return {
        "step_id": step_id,
        "parent_step_id": parent,
        "cause_step_id": cause,
        "kind": "tool",
        "name": step_id,
        "status": status,
        "attempt": attempt,
        "offset_ms": offset_ms,
        "latency_ms": latency_ms,
    }


def a_failure(code: str = "timeout", *, step_id: str | None = None, error_class: str | None = "TimeoutError") -> FailureJson:
    """A tool's failure."""
    return {
        "failure_type": "tool",
        "failure_code": code,
        "rule_id": f"class.{code}",
        "step_id": step_id,
        "error_class": error_class,
    }


def step_stats(*, version: str = "1") -> StepStatsJson:
    """Eight steps of a version, two of them errors."""
    return {
        "agent_id": "a",
        "agent_version": version,
        "kind": "tool",
        "name": "search",
        "steps": 8,
        "errors": 2,
        "error_rate": 0.25,
        "latency_ms": {"p50": 1.0, "p95": 2.0, "p99": 3.0},
    }


def agent_stats(*, failure_rate: float | None = None) -> AgentStatsJson:
    """Two runs, none of which has ended."""
    return {"agent_id": "a", "agent_version": "1", "runs": 2, "failure_rate": failure_rate, "latency_ms": None}
