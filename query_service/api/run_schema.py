"""The JSON form of a run. Names and values in these models are the API's contract. Nothing is computed or read here."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from agenttracer.wire.events import MetadataValue
from agenttracer.wire.vocabulary import EndReason, FailureCode, FailureType, RunEnd, RunStatus
from query_service.completeness import (
    CompletenessState,
    ProducerCompleteness,
    declared_losses,
    producer_completeness,
    run_completeness,
)
from query_service.store.rows import ABANDONED_ID, RunFailure, StoredRun

RUN_EXAMPLE: Final[dict[str, Any]] = {
    "run_id": "019ab0de-7c1e-7000-8000-0242ac120002",
    "agent_id": "support-bot",
    "agent_version": "1.4.0",
    "status": "failure",
    "started_at": "2026-01-31T12:00:00.000250Z",
    "ended_at": "2026-01-31T12:00:02.341750Z",
    "time_shift_ms": 0.0,
    "latency_ms": 2341.5,
    "end_reason": "error",
    "session_digest": None,
    "step_count": 6,
    "error_step_count": 2,
    "failure_count": 2,
    "failure": {"failure_type": "tool", "failure_code": "timeout", "failure_id": "00f067aa0ba902b7"},
    "root_cause": {"failure_type": "tool", "failure_code": "timeout", "failure_id": "00f067aa0ba902b7"},
    "shape": "5b1d9c0f3a7e2468",
    "truncated": False,
    "parent_run_id": None,
    "parent_step_id": None,
    "metadata": {"channel": "chat", "retries": 1},
    "last_received_at": "2026-01-31T12:00:02.610000Z",
    "completeness": {
        "state": "lost",
        "lost_events": 1,
        "stored_events": 8,
        "declared": {"queue_full": 1},
        "producers": [
            {
                "producer": "1f0c9a52e3b14d77",
                "state": "lost",
                "lost_events": 1,
                "stored_events": 8,
                "declared": {"queue_full": 1},
                "unexplained_events": 0,
                "gaps": 1,
            }
        ],
        "producer_count": 1,
    },
}

COMPLETE_TO_EXAMPLE: Final = "2026-01-31T12:00:05.120000Z"
CompleteTo = Annotated[
    datetime | None,
    Field(
        description="All that the gateways received until then, of any project, is in this answer; later events may be missing. "
        "Null while the workers have not said it yet."
    ),
]
Ms = Annotated[float, Field(description="Milliseconds; fractions down to a microsecond.")]


def to_ms(us: float) -> float:
    """Milliseconds of microseconds."""
    return us / 1000


class ResponseSchema(BaseModel):
    """Base of all response models. They do not change once they are made."""

    model_config = ConfigDict(frozen=True)


class FirstFailureSchema(ResponseSchema):
    """The failure that the run is known by: recorded by its code before found in a step before its end's, then the earliest."""

    failure_type: FailureType
    failure_code: str
    failure_id: Annotated[str, Field(description=f"Id within the run; `{ABANDONED_ID}` for a silence.")]

    @classmethod
    def of(cls, failure: RunFailure) -> Self:
        """Convert the stored row."""
        return cls(
            failure_type=FailureType(failure.failure_type), failure_code=failure.failure_code, failure_id=failure.failure_id
        )


_STATE: Final = "`unknown` without an end that counts; what is still on its way counts as lost."
_LOST: Final = "Events that an end counted and that have not arrived, or that were declared lost before an end."
_DECLARED: Final = "Losses that were reported by the producer itself, by reason; they explain lost_events."


class ProducerSchema(ResponseSchema):
    """Whether the store has every event that one producer (a process) emitted for the run."""

    producer: Annotated[str, Field(description="A random id, new in every process.")]
    state: Annotated[CompletenessState, Field(description=_STATE)]
    lost_events: Annotated[int, Field(ge=0, description=_LOST)]
    stored_events: Annotated[int, Field(ge=0, description="Its numbered events that are stored.")]
    declared: Annotated[Mapping[str, int], Field(description=_DECLARED)]
    unexplained_events: Annotated[int, Field(ge=0, description="Lost events without a reason: on their way, or lost behind it.")]
    gaps: Annotated[
        int,
        Field(ge=0, description="Numbers missing between its first and last stored event; steps still open have one each."),
    ]

    @classmethod
    def of(cls, found: ProducerCompleteness) -> Self:
        """Convert one producer's completeness."""
        return cls(
            producer=found.producer,
            state=found.completeness.state,
            lost_events=found.completeness.lost_events,
            stored_events=found.completeness.stored_events,
            declared=found.declared,
            unexplained_events=found.unexplained,
            gaps=found.gaps,
        )


PRODUCERS_SHOWN: Final = 50
"""Of one run, whose answer would else be as large as its sender likes. A run has one for each process that took part in it."""


class CompletenessSchema(ResponseSchema):
    """Whether the store has every event that the run's producers emitted."""

    state: Annotated[CompletenessState, Field(description=_STATE + " Of several producers: `lost` if one lost something.")]
    lost_events: Annotated[int, Field(ge=0, description=_LOST)]
    stored_events: Annotated[int, Field(ge=0, description="Start, steps, recorded failures and end, as far as they are stored.")]
    declared: Annotated[Mapping[str, int], Field(description=_DECLARED)]
    producers: Annotated[
        list[ProducerSchema],
        Field(
            description="One by one; none for spans, which are not numbered. "
            f"At most {PRODUCERS_SHOWN}, those that lost most: all of them are in the sums."
        ),
    ]
    producer_count: Annotated[int, Field(description="How many there are.")]


_TRUNCATED: Final = (
    "The run has more than 1,000 steps or more than 200 failures (those of source `run_steps` aside). All are stored, counted "
    "and listed, but the diagnosis reads only the first 1,000 steps and 200 failures by time: `root_cause`, `shape` and "
    "loops come from these alone, and later failures have no `outcome`, `caused_by` and `fingerprint`, and are in no group of "
    "`/v1/stats`."
)


_TIME_SHIFT: Final = (
    "0, or how many milliseconds were added to every time that the run's events said: when it was received first, they were more "
    "than 30 days old or more than 10 minutes ahead. Take it off again to have the sender's own times."
)


class RunSchema(ResponseSchema):
    """One run of an agent, as it stands at this moment."""

    model_config = ConfigDict(json_schema_extra={"examples": [RUN_EXAMPLE]})

    run_id: UUID
    agent_id: str
    agent_version: str
    status: Annotated[
        RunStatus,
        Field(description="`abandoned`: no end, and silent for too long; a later event undoes it."),
    ]
    started_at: Annotated[datetime, Field(description="As declared by the run's start, else the earliest time seen of it.")]
    ended_at: datetime | None
    time_shift_ms: Annotated[float, Field(description=_TIME_SHIFT)]
    latency_ms: Ms | None
    end_reason: Annotated[
        EndReason | None,
        Field(description="Of an end that says none: `error` of a failure, else `completed`. Null without an end."),
    ]
    session_digest: Annotated[
        str | None, Field(description="Keyed digest of the session or conversation: equal for equal ones of one key.")
    ]
    step_count: int
    error_step_count: int
    failure_count: Annotated[int, Field(description="As many as `/failures` lists, the silence of an abandoned run included.")]
    failure: FirstFailureSchema | None
    root_cause: Annotated[
        FirstFailureSchema | None,
        Field(description="The first failure that was not recovered and followed from no other one; null where there is none."),
    ]
    shape: Annotated[
        str | None,
        Field(
            description="Fingerprint of the steps in their order, repetitions once; equal for equal paths, null before the end."
        ),
    ]
    truncated: Annotated[bool, Field(description=_TRUNCATED)]
    parent_run_id: UUID | None
    parent_step_id: Annotated[str | None, Field(description="The step of that run in which it was started.")]
    metadata: Mapping[str, MetadataValue]
    last_received_at: Annotated[datetime, Field(description="When the gateway last received anything of it.")]
    completeness: CompletenessSchema

    @classmethod
    def of(cls, run: StoredRun) -> Self:
        """Convert the stored row."""
        silent = run.status == RunStatus.ABANDONED
        return cls(
            run_id=run.run_id,
            agent_id=run.agent,
            agent_version=run.agent_version,
            status=RunStatus(run.status),
            started_at=run.started_at,
            ended_at=run.ended_at,
            time_shift_ms=to_ms(run.time_shift_us),
            latency_ms=None if run.latency_us is None else to_ms(run.latency_us),
            end_reason=_end_reason(run),
            session_digest=run.session_digest,
            step_count=run.step_count,
            error_step_count=run.error_step_count,
            failure_count=run.failure_count + silent,
            failure=_first_failure(run, silent=silent),
            root_cause=None if run.root_cause is None else FirstFailureSchema.of(run.root_cause),
            shape=run.shape,
            truncated=run.truncated,
            parent_run_id=run.parent_run_id,
            parent_step_id=run.parent_step_id,
            metadata=run.metadata,
            last_received_at=run.last_received_at,
            completeness=_completeness(run),
        )


class OneRunSchema(RunSchema):
    """One run, and up to when all that was received is in the answer."""

    model_config = ConfigDict(json_schema_extra={"examples": [RUN_EXAMPLE | {"complete_to": COMPLETE_TO_EXAMPLE}]})

    complete_to: CompleteTo

    @classmethod
    def at(cls, run: StoredRun, complete_to: datetime | None) -> Self:
        """Convert the stored row."""
        return cls(**dict(RunSchema.of(run)), complete_to=complete_to)


class RunsSchema(ResponseSchema):
    """A page of runs, newest first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"runs": [RUN_EXAMPLE], "next_cursor": None, "complete_to": COMPLETE_TO_EXAMPLE}]}
    )

    runs: list[RunSchema]
    complete_to: CompleteTo
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` to go on; null on the last page.")]

    @classmethod
    async def of(cls, runs: Sequence[StoredRun], *, next_cursor: str | None, complete_to: datetime | None) -> Self:
        """A page of these runs. It is made in a thread: the event loop serves others meanwhile."""
        made = await asyncio.to_thread(lambda: [RunSchema.of(run) for run in runs])
        return cls.model_construct(runs=made, next_cursor=next_cursor, complete_to=complete_to)


def _first_failure(run: StoredRun, *, silent: bool) -> FirstFailureSchema | None:
    if run.failure is not None:
        return FirstFailureSchema.of(run.failure)
    if silent:
        return FirstFailureSchema(
            failure_type=FailureType.ORCHESTRATION, failure_code=FailureCode.ABANDONED, failure_id=ABANDONED_ID
        )
    return None


def _end_reason(run: StoredRun) -> EndReason | None:
    if run.end_reason is not None:
        return EndReason(run.end_reason)
    if run.status not in frozenset(RunEnd):
        return None
    return EndReason.ERROR if run.status == RunEnd.FAILURE else EndReason.COMPLETED


def _completeness(run: StoredRun) -> CompletenessSchema:
    completeness = run_completeness(run)
    by_producer = producer_completeness(run.producers)
    shown = {id(each) for each in sorted(by_producer, key=_lost_most)[:PRODUCERS_SHOWN]}
    return CompletenessSchema(
        state=completeness.state,
        lost_events=completeness.lost_events,
        stored_events=completeness.stored_events,
        declared=declared_losses(run.producers),
        producers=[ProducerSchema.of(each) for each in by_producer if id(each) in shown],
        producer_count=len(by_producer),
    )


def _lost_most(found: ProducerCompleteness) -> tuple[int, int]:
    return -found.completeness.lost_events, -found.gaps
