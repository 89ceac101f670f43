"""How a run looks in JSON. What the store's words become here is the API's promise; nothing is judged or fetched."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from agenttracer.wire.events import MetadataValue
from agenttracer.wire.vocabulary import FailureCode, FailureType, RunStatus
from query_service.completeness import Account, Completeness, accounts_of, declared_of, judge
from query_service.stored import ABANDONED_ID, FirstFailure, Run

RUN_EXAMPLE: Final[dict[str, Any]] = {
    "run_id": "019ab0de-7c1e-7000-8000-0242ac120002",
    "agent_id": "support-bot",
    "agent_version": "1.4.0",
    "status": "failure",
    "started_at": "2026-01-31T12:00:00.000250Z",
    "ended_at": "2026-01-31T12:00:02.341750Z",
    "latency_ms": 2341.5,
    "step_count": 6,
    "error_step_count": 2,
    "failure_count": 2,
    "failure": {"failure_type": "tool", "failure_code": "timeout", "failure_id": "00f067aa0ba902b7"},
    "root_cause": {"failure_type": "tool", "failure_code": "timeout", "failure_id": "00f067aa0ba902b7"},
    "shape": "5b1d9c0f3a7e2468",
    "truncated": False,
    "parent_run_id": None,
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
    },
}

Ms = Annotated[float, Field(description="Milliseconds; fractions down to a microsecond.")]


def to_ms(us: float) -> float:
    """Milliseconds of microseconds."""
    return us / 1000


class Answer(BaseModel):
    """What all answers share: they are made once and sent."""

    model_config = ConfigDict(frozen=True)


class FirstFailureAnswer(Answer):
    """The failure that the run is known by: recorded by its code before found in a step before its end's, then the earliest."""

    failure_type: FailureType
    failure_code: str
    failure_id: Annotated[str, Field(description=f"Id within the run; `{ABANDONED_ID}` for a silence.")]

    @classmethod
    def of(cls, failure: FirstFailure) -> Self:
        """The answer for a stored one."""
        return cls(
            failure_type=FailureType(failure.failure_type), failure_code=failure.failure_code, failure_id=failure.failure_id
        )


_STATE: Final = "`unknown` without an end that counts; what is still on its way counts as lost."
_LOST: Final = "Events that an end counted and that have not arrived, or that were declared lost before an end."
_DECLARED: Final = "Losses that were reported by the producer itself, by reason; they explain lost_events."


class ProducerAnswer(Answer):
    """Whether everything that one producer (a process) emitted of the run has arrived."""

    producer: Annotated[str, Field(description="A random id, new in every process.")]
    state: Annotated[Completeness, Field(description=_STATE)]
    lost_events: Annotated[int, Field(ge=0, description=_LOST)]
    stored_events: Annotated[int, Field(ge=0, description="Its numbered events that are stored.")]
    declared: Annotated[Mapping[str, int], Field(description=_DECLARED)]
    unexplained_events: Annotated[int, Field(ge=0, description="Lost events without a reason: on their way, or lost behind it.")]
    gaps: Annotated[
        int,
        Field(ge=0, description="Numbers missing between its first and last stored event; steps still open have one each."),
    ]

    @classmethod
    def of(cls, account: Account) -> Self:
        """The answer for an account."""
        return cls(
            producer=account.producer,
            state=account.verdict.state,
            lost_events=account.verdict.lost_events,
            stored_events=account.verdict.stored_events,
            declared=account.declared,
            unexplained_events=account.unexplained,
            gaps=account.gaps,
        )


class CompletenessAnswer(Answer):
    """Whether everything that the run's producers emitted has arrived."""

    state: Annotated[Completeness, Field(description=_STATE + " Of several producers: `lost` if one lost something.")]
    lost_events: Annotated[int, Field(ge=0, description=_LOST)]
    stored_events: Annotated[int, Field(ge=0, description="Start, steps, recorded failures and end, as far as they are stored.")]
    declared: Annotated[Mapping[str, int], Field(description=_DECLARED)]
    producers: Annotated[list[ProducerAnswer], Field(description="One by one; none for spans, which are not numbered.")]


_TRUNCATED: Final = (
    "The run has more than 1,000 steps or more than 200 failures (those of source `run_steps` aside). All are stored, counted "
    "and listed, but only the first 1,000 steps and 200 failures by time are looked at: `root_cause`, `shape` and loops are "
    "theirs alone, and failures beyond have no `outcome`, `caused_by` and `fingerprint`, and are in no group of `/v1/stats`."
)


class RunAnswer(Answer):
    """One run of an agent, as it stands at this moment."""

    model_config = ConfigDict(json_schema_extra={"examples": [RUN_EXAMPLE]})

    run_id: UUID
    agent_id: str
    agent_version: str
    status: Annotated[RunStatus, Field(description="`abandoned`: no end, and silent for longer than promised; reversible.")]
    started_at: Annotated[datetime, Field(description="As declared by the run's start, else the earliest time seen of it.")]
    ended_at: datetime | None
    latency_ms: Ms | None
    step_count: int
    error_step_count: int
    failure_count: Annotated[int, Field(description="As many as `/failures` lists, the silence of an abandoned run included.")]
    failure: FirstFailureAnswer | None
    root_cause: Annotated[
        FirstFailureAnswer | None,
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
    metadata: Mapping[str, MetadataValue]
    last_received_at: Annotated[datetime, Field(description="When the gateway last received anything of it.")]
    completeness: CompletenessAnswer

    @classmethod
    def of(cls, run: Run) -> Self:
        """The answer for a stored run."""
        silent = run.status == RunStatus.ABANDONED
        return cls(
            run_id=run.run_id,
            agent_id=run.agent,
            agent_version=run.agent_version,
            status=RunStatus(run.status),
            started_at=run.started_at,
            ended_at=run.ended_at,
            latency_ms=None if run.latency_us is None else to_ms(run.latency_us),
            step_count=run.step_count,
            error_step_count=run.error_step_count,
            failure_count=run.failure_count + silent,
            failure=_first_failure(run, silent=silent),
            root_cause=None if run.root_cause is None else FirstFailureAnswer.of(run.root_cause),
            shape=run.shape,
            truncated=run.truncated,
            parent_run_id=run.parent_run_id,
            metadata=run.metadata,
            last_received_at=run.last_received_at,
            completeness=_completeness(run),
        )


class RunsAnswer(Answer):
    """A page of runs, newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"runs": [RUN_EXAMPLE], "next_cursor": None}]})

    runs: list[RunAnswer]
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` to go on; null on the last page.")]


def _first_failure(run: Run, *, silent: bool) -> FirstFailureAnswer | None:
    if run.failure is not None:
        return FirstFailureAnswer.of(run.failure)
    if silent:
        return FirstFailureAnswer(
            failure_type=FailureType.ORCHESTRATION, failure_code=FailureCode.ABANDONED, failure_id=ABANDONED_ID
        )
    return None


def _completeness(run: Run) -> CompletenessAnswer:
    verdict = judge(run)
    return CompletenessAnswer(
        state=verdict.state,
        lost_events=verdict.lost_events,
        stored_events=verdict.stored_events,
        declared=declared_of(run.producers),
        producers=[ProducerAnswer.of(account) for account in accounts_of(run.producers)],
    )
