"""One run of any length: steps one after the other, some of which fail, in records of a few events each."""

import uuid
from collections.abc import Iterator, Sequence

from agenttracer.wire.envelope import VERSION, Producer, Record
from agenttracer.wire.events import Event, Evidence, FailureRecorded, RunFinished, RunStarted, StepFinished
from agenttracer.wire.vocabulary import FailureType, RunEnd, StepKind, StepStatus

RUN = "0198c0de-0000-7000-8000-0000000000ff"
AT = 1_790_000_000_000_000
EVERY_US = 1_000
"""From one step to the next."""
PRODUCER = Producer(id="p", agent="support", agent_version="1")
TIMEOUT = Evidence(error_class="TimeoutError")


def start(run_id: str = RUN) -> RunStarted:
    """The run's first event."""
    return RunStarted(run_id=run_id, seq=0, started_at=AT)


def step(number: int, *, failed: bool, run_id: str = RUN, name: str | None = None) -> StepFinished:
    """The `number`-th step, from 1. Of so many names that none is tried often enough for a loop, unless one is given."""
    return StepFinished(
        run_id=run_id,
        seq=number,
        step_id=f"{number:016x}",
        kind=StepKind.TOOL,
        name=name or f"tool-{number // 8 % 900}",
        started_at=AT + number * EVERY_US,
        duration_us=EVERY_US // 2,
        status=StepStatus.ERROR if failed else StepStatus.OK,
        evidence=TIMEOUT if failed else None,
    )


def steps(count: int, *, failing: int = 0, run_id: str = RUN) -> list[StepFinished]:
    """So many steps, of which every `failing`-th fails; none for 0."""
    return [step(n, failed=failing > 0 and n % failing == 0, run_id=run_id) for n in range(1, count + 1)]


def recorded(number: int, *, occurred_at: int, run_id: str = RUN) -> FailureRecorded:
    """What the agent's own code says of the `number`-th step: it wins over what was found in it."""
    return FailureRecorded(
        run_id=run_id,
        seq=number,
        failure_id=f"{number:016x}",
        occurred_at=occurred_at,
        failure_type=FailureType.TOOL,
        failure_code="mine",
        step_id=f"{number:016x}",
    )


def end(steps: int, run_id: str = RUN) -> RunFinished:
    """The end of a run of so many steps."""
    ended_at = AT + (steps + 1) * EVERY_US
    return RunFinished(run_id=run_id, seq=steps + 1, ended_at=ended_at, status=RunEnd.FAILURE, emitted=steps + 2)


def records(events: Sequence[Event], *, flush: int) -> Iterator[Record]:
    """The events in records of up to `flush`."""
    for first in range(0, len(events), flush):
        yield Record(v=VERSION, project="default", producer=PRODUCER, received_at=AT, events=tuple(events[first : first + flush]))


def run_ids() -> Iterator[str]:
    """Ids of other runs, always the same ones."""
    number = 0
    while True:
        number += 1
        yield str(uuid.UUID(int=uuid.UUID(RUN).int + number))
