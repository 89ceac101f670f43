"""Seeded traffic for tests: runs of many shapes as contract records, and the mischief that a network can do to them."""

import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace

from agenttracer.wire.envelope import VERSION, Producer, Record
from agenttracer.wire.events import (
    RUN_SCOPE_ID,
    AgentExecution,
    Cost,
    Event,
    EventsDropped,
    Evidence,
    FailureRecorded,
    ReturnedError,
    RunFinished,
    RunHeartbeat,
    RunStarted,
    StepFinished,
)
from agenttracer.wire.vocabulary import DropReason, EndReason, FailureType, RunEnd, RunKind, StepKind, StepStatus

BASE_US = 1_790_000_000_000_000
_EVIDENCE = (
    Evidence(error_class="TimeoutError"),
    Evidence(error_class="APIStatusError", http_status=429, retry_after_s=3),
    Evidence(http_status=503),
    Evidence(error_class="pydantic.ValidationError"),
    Evidence(error_class="OSError", errno=111),
    Evidence(error_code="context_length_exceeded", http_status=400),
    None,
)
_USAGE = {"model": "gpt-4o", "input_tokens": 812, "output_tokens": 64, "cache_read_tokens": 512, "reasoning_tokens": 2**40}
_METADATA = (
    {},
    {"model": "gpt-4o", "input_tokens": 812},
    {"result_count": 0},
    {"score": 0.25, "cached": True},
    _USAGE,
    {"model": 4, "input_tokens": 0.5, "output_tokens": -1},
)
_RETURNED = (
    ReturnedError(),
    ReturnedError(code="not_found", http_status=404),
    ReturnedError(exit_status=-9, error_class="CalledProcessError"),
)
_EXECUTIONS = (AgentExecution(name="refund"), AgentExecution(name="~0a1b2c3d4e", version="2", end_reason=EndReason.LIMIT_STEPS))
DAY_US = 86_400_000_000
_CLOCKS_OFF = (0, 0, 0, -DAY_US, 40 * DAY_US, 20 * 365 * DAY_US, -10 * 365 * DAY_US)
_SESSIONS = tuple(f"{digit * 32}" for digit in "0a")


class Traffic:
    """Records of made-up runs; equal seeds make equal records."""

    def __init__(self, seed: int, *, base_us: int = BASE_US) -> None:
        self.random = random.Random(seed)
        self.base_us = base_us
        self.failing = 0.25

    def runs(self, count: int, *, steps: int = 10) -> list[list[Event]]:
        """So many runs, each a list of its events in order."""
        return [list(self.run(steps=self.random.randint(0, 2 * steps))) for _ in range(count)]

    def run(self, *, steps: int) -> Iterator[Event]:
        """One run: nearly always a start and an end, steps in between, some of them failing."""
        rng = self.random
        run_id = str(uuid.UUID(int=rng.getrandbits(128)))
        at = self.base_us + rng.randrange(300_000_000)
        seq = 0
        if rng.random() < 0.97:
            yield RunStarted(
                run_id=run_id,
                seq=seq,
                started_at=at,
                metadata=rng.choice(({}, {"tier": "gold"})),
                abandon_after_s=rng.choice((None, 60)),
                session_digest=rng.choice((None, *_SESSIONS)),
                kind=rng.choice((*[RunKind.AGENT] * 3, RunKind.TRACE)),
            )
        ids = [f"{rng.getrandbits(64) | 1:016x}" for _ in range(steps)]
        self.failing = rng.choice((0.0, 0.1, 0.25))
        kinds = (StepKind.TOOL,) if rng.random() < 0.4 else tuple(StepKind)  # some do one thing over and over
        names = ("search",) if len(kinds) == 1 else ("search", "lookup_order", "answer")
        for step_id in ids:
            seq += 1
            at += rng.randrange(50_000)
            # Some stand under another one, which may have come before, come later, stand under this one, or never come.
            parent = rng.choice((*ids[:2], "00000000000000aa")) if rng.random() < 0.4 else None
            parent = None if parent == step_id else parent
            what = (StepKind.OTHER, "frame") if step_id in ids[:2] else (rng.choice(kinds), rng.choice(names))
            yield from self.step(run_id, seq, at, step_id=step_id, parent=parent, what=what)
        if rng.random() < 0.1:
            yield RunHeartbeat(run_id=run_id, at=at)
        if rng.random() < 0.1:
            yield EventsDropped(run_id=run_id, reason=rng.choice(list(DropReason)), total=rng.randrange(1, 9))
        if rng.random() < 0.95:
            status = rng.choice(list(RunEnd))
            evidence = rng.choice(_EVIDENCE) if status == RunEnd.FAILURE else None
            end = RunFinished(run_id=run_id, seq=seq + 1, ended_at=at + 1000, status=status, emitted=seq + 2, evidence=evidence)
            yield replace(end, end_reason=rng.choice((None, None, *EndReason)))  # some contradict the status

    def step(
        self, run_id: str, seq: int, at: int, *, step_id: str, parent: str | None, what: tuple[StepKind, str]
    ) -> Iterator[Event]:
        """One step, and with some luck a failure recorded in it."""
        rng = self.random
        frames = what[1] == "frame"  # what others stand under fails more often, and seldom with an error of its own
        failed = rng.random() < (0.6 if frames and self.failing else self.failing)
        yield StepFinished(
            run_id=run_id,
            seq=seq,
            step_id=step_id,
            kind=what[0],
            name=what[1],
            started_at=at,
            duration_us=rng.randrange(5_000_000),
            status=StepStatus.ERROR if failed else StepStatus.OK,
            attempt=rng.randint(1, 3),
            parent_step_id=parent,
            evidence=rng.choice((None, *_EVIDENCE[:2]) if frames else _EVIDENCE) if failed else None,
            metadata=rng.choice(_METADATA),
            work_digest=rng.choice((None, "00000000000000aa", f"{rng.getrandbits(64):016x}")),
            returned_error=rng.choice(_RETURNED) if rng.random() < 0.1 else None,
            agent=rng.choice(_EXECUTIONS) if rng.random() < 0.1 else None,
            cost=Cost(nano=rng.randrange(10**6), currency=rng.choice(("USD", "EUR"))) if rng.random() < 0.1 else None,
            session_digest=rng.choice(_SESSIONS) if rng.random() < 0.1 else None,
            redacted=2 if rng.random() < 0.1 else None,
        )
        if rng.random() < 0.05:
            yield FailureRecorded(
                run_id=run_id,
                seq=seq,
                failure_id=rng.choice((step_id, RUN_SCOPE_ID)),
                occurred_at=at + 5,
                failure_type=rng.choice(list(FailureType)),
                failure_code=rng.choice(("timeout", "made_up_code")),
                step_id=step_id,
                message_chars=rng.choice((None, 40)),
            )

    def records(self, runs: Sequence[Sequence[Event]], *, flush: int = 6) -> list[Record]:
        """Each run in flushes of up to `flush` events, flushes of runs interleaved as they would be in time."""
        found: list[Record] = []
        for events in runs:
            version = self.random.choice(("1.0", "1.1"))
            producer = Producer(id=f"p{self.random.randrange(5)}", agent="support", agent_version=version)
            start = 0
            while start < len(events):
                size = self.random.randint(1, flush)
                found.append(self.record(events[start : start + size], producer))
                start += size
        self.random.shuffle(found)
        return found

    def elsewhere(self, runs: Sequence[Sequence[Event]]) -> list[Record]:
        """Of some runs the parts in other processes, as remote parents make them: a start under a step of the run, and an end."""
        rng = self.random
        found: list[Record] = []
        for run_id in [events[0].run_id for events in runs for _ in range(rng.randrange(3)) if events]:
            at = self.base_us + rng.randrange(300_000_000)
            parent = f"{rng.getrandbits(64) | 1:016x}"
            started = RunStarted(run_id=run_id, seq=0, started_at=at, parent_step_id=parent)
            ended = RunFinished(run_id=run_id, seq=0, ended_at=at + 1000, status=RunEnd.SUCCESS, emitted=0, parent_step_id=parent)
            producer = Producer(id="otlp", agent=rng.choice(("billing", "weather")), agent_version="2")
            found.append(self.record((started, ended), producer))
        return found

    def record(self, events: Sequence[Event], producer: Producer) -> Record:
        """One record, received some time after its events."""
        received_at = self.base_us + 400_000_000 + self.random.randrange(1_000_000)
        return Record(v=VERSION, project="default", producer=producer, received_at=received_at, events=tuple(events))

    def mischief(self, records: Sequence[Record]) -> list[Record]:
        """The same, some of them repeated with a later receipt, some with one event said again differently, in any order."""
        rng = self.random
        repeated = [replace(record, received_at=record.received_at + 7) for record in records if rng.random() < 0.2]
        chosen = [record for record in records if rng.random() < 0.05]
        contradicted = [replace(record, events=tuple(map(self._contradict, record.events))) for record in chosen]
        everything = [*records, *repeated, *contradicted]
        rng.shuffle(everything)
        return everything

    def off_clocks(self, records: Sequence[Record]) -> list[Record]:
        """The same, each run as if its sender's clock were off by some amount or none, some records received days later."""
        rng = self.random
        run_ids = sorted({record.events[0].run_id for record in records})
        off_us = {run_id: rng.choice(_CLOCKS_OFF) for run_id in run_ids}
        later = (*[0] * 6, 1, DAY_US, 31 * DAY_US)
        return [
            replace(record, received_at=record.received_at + off_us[record.events[0].run_id] + rng.choice(later))
            for record in records
        ]

    def _contradict(self, event: Event) -> Event:
        match event:
            case StepFinished():
                evidence = Evidence(http_status=500)
                return replace(event, duration_us=event.duration_us + 1, status=StepStatus.ERROR, evidence=evidence)
            case RunFinished():
                ended_at = event.ended_at + self.random.choice((-1, 0, 1))
                return replace(event, ended_at=ended_at, status=RunEnd.PARTIAL)
            case RunStarted():
                started_at = event.started_at - self.random.choice((0, 60_000_000))
                return replace(event, started_at=started_at, metadata={"tier": "base"})
            case FailureRecorded():
                return replace(event, failure_code="other_code")
            case _:
                return event
