"""A run as a trace in Chrome's format, which Perfetto and `chrome://tracing` open. Pure.

Events of one thread must nest there, so steps that overlap without nesting are put in lanes beside each other.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from query_service.store.rows import RunTree, StoredRun, TreeStep

LANES_MOST: Final = 64
"""More lanes than anybody looks at; what needs a further one is drawn over the last."""


def chrome_trace(tree: RunTree) -> dict[str, Any]:
    """The JSON object form of the format: a process for each run, times in microseconds from the start of the first one."""
    origin = tree.runs[0].started_at
    events = [event for place, run in enumerate(tree.runs) for event in _of_run(place, run, tree.steps[place], origin=origin)]
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"run_id": str(tree.runs[0].run_id)}}


def _of_run(place: int, run: StoredRun, steps: Sequence[TreeStep], *, origin: datetime) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": "process_name", "pid": place, "args": {"name": f"{run.agent} {run.agent_version} {run.run_id}"}}
    if run.latency_us is not None:
        args = {"run_id": str(run.run_id), "status": run.status}
        yield _event(run.agent, "run", args, at=(place, 0), begin=_us(run.started_at, origin), duration=run.latency_us)
    lanes: list[list[int]] = []
    for step in sorted(steps, key=lambda one: (one.started_at, -one.duration_us)):
        begin = _us(step.started_at, origin)
        lane = _lane(lanes, begin, begin + step.duration_us)
        yield _event(step.name, step.kind, _args(step), at=(place, lane + 1), begin=begin, duration=step.duration_us)


def _lane(lanes: list[list[int]], begin: int, end: int) -> int:
    """The first lane in which nothing is open, or only what lasts as long; each lane is the ends of what is open there."""
    for place, open_ends in enumerate(lanes):
        while open_ends and open_ends[-1] <= begin:
            open_ends.pop()
        if not open_ends or open_ends[-1] >= end:
            open_ends.append(end)
            return place
    if len(lanes) < LANES_MOST:
        lanes.append([end])
    return len(lanes) - 1


def _event(name: str, kind: str, args: dict[str, Any], *, at: tuple[int, int], begin: int, duration: int) -> dict[str, Any]:
    run, lane = at
    return {"ph": "X", "name": name, "cat": kind, "pid": run, "tid": lane, "ts": begin, "dur": duration, "args": args}


def _args(step: TreeStep) -> dict[str, Any]:
    said = {
        "step_id": step.step_id,
        "status": step.status,
        "attempt": step.attempt,
        "error_class": step.error_class,
        "error_code": step.error_code,
        "http_status": step.http_status,
        "model": step.model,
    }
    return {name: value for name, value in said.items() if value is not None}


def _us(at: datetime, origin: datetime) -> int:
    elapsed = at - origin
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds
