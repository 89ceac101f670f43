"""What a run said, by kind of event."""

from agenttracer import Run
from agenttracer.wire.events import Event, FailureRecorded, RunFinished, StepFinished


def steps(events: list[Event]) -> list[StepFinished]:
    return [event for event in events if isinstance(event, StepFinished)]


def end(events: list[Event]) -> RunFinished:
    return next(event for event in events if isinstance(event, RunFinished))


def failures(events: list[Event]) -> list[FailureRecorded]:
    return [event for event in events if isinstance(event, FailureRecorded)]


def fail(run: Run, kind: str, name: str, error: BaseException) -> None:
    with run.step(kind, name):
        raise error
