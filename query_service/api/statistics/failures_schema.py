"""The JSON form of kinds of failure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import ConfigDict, Field

from agenttracer.wire.vocabulary import FailureType, StepKind
from query_service.api.run_schema import RUN_EXAMPLE, ResponseSchema, RunSchema
from query_service.api.stats_schema import Window
from query_service.buckets import Buckets, BucketSize
from query_service.store.rows import FailureStory, FailureTrend, StepName
from query_service.store.store import GROUPS_SORTED

_GROUP: Final[dict[str, Any]] = {
    "fingerprint": "9ae0c8f1d2b34567",
    "agent_id": "support-bot",
    "failure_type": "tool",
    "failure_code": "timeout",
    "error_class": "ReadTimeout",
    "rule_id": "timeout.class",
    "taxonomy_version": 1,
    "step": {"kind": "tool", "name": "search_orders"},
    "failures": 31,
    "recovered": 14,
    "fatal": 12,
    "runs": 19,
    "versions": ["1.4.0"],
    "first_seen": "2026-01-30T08:12:44.020500Z",
    "last_seen": "2026-01-31T11:58:01.620500Z",
    "last_run_id": RUN_EXAMPLE["run_id"],
    "trend": [12, 19],
}
_TIMES: Final[dict[str, Any]] = {
    "window": {"since": "2026-01-31T11:30:00Z", "until": "2026-01-31T12:00:00Z"},
    "bucket": "15m",
    "zone": "UTC",
    "times": ["2026-01-31T11:30:00Z", "2026-01-31T11:45:00Z"],
}
_STORY: Final[dict[str, Any]] = {
    **_GROUP,
    **_TIMES,
    "by_version": [{"agent_version": "1.4.0", "failures": 31, "runs": 19, "all_runs": 120, "rate": 0.15833333333333333}],
    "evidence": [
        {
            "error_class": "ReadTimeout",
            "error_code": None,
            "http_status": None,
            "rule_id": "timeout.class",
            "taxonomy_version": 1,
            "failures": 31,
        }
    ],
    "path": [{"kind": "plan", "name": "choose-tools"}, {"kind": "tool", "name": "search_orders"}],
    "sample_runs": [RUN_EXAMPLE],
    "peer_run_id": "019ab0de-7c1e-7000-8000-0242ac120003",
}


class StepNameSchema(ResponseSchema):
    """What a step is called, and its kind."""

    kind: StepKind
    name: str

    @classmethod
    def of(cls, step: StepName) -> Self:
        """Convert the stored name."""
        return cls(kind=StepKind(step.kind), name=step.name)


class TrendSchema(ResponseSchema):
    """One kind of failure in a window."""

    fingerprint: Annotated[str, Field(description="`/v1/runs?failure_fingerprint=` lists its runs.")]
    agent_id: str
    failure_type: FailureType
    failure_code: str
    error_class: str | None
    rule_id: Annotated[str, Field(description="The rule that classified the newest of them.")]
    taxonomy_version: int
    step: Annotated[StepNameSchema | None, Field(description="The step that failed; null where the run as a whole did.")]
    failures: int
    recovered: Annotated[int, Field(description="Failures that a later attempt recovered from.")]
    fatal: Annotated[
        int, Field(description="Failures that nothing recovered from, whether the run failed or not; the others are not judged.")
    ]
    runs: Annotated[int, Field(description="Runs in which they occurred.")]
    versions: Annotated[list[str], Field(description="Versions of the agent in which they occurred.")]
    first_seen: Annotated[datetime, Field(description="When the first of all that are stored occurred, in any version.")]
    last_seen: Annotated[datetime, Field(description="When the last one of the window occurred.")]
    last_run_id: UUID
    trend: Annotated[list[int], Field(description="Failures, for each of `times`.")]

    @staticmethod
    def members(group: FailureTrend) -> dict[str, Any]:
        """The members of this form from the store's group."""
        return {
            "fingerprint": group.fingerprint,
            "agent_id": group.agent,
            "failure_type": FailureType(group.failure_type),
            "failure_code": group.failure_code,
            "error_class": group.error_class,
            "rule_id": group.rule_id,
            "taxonomy_version": group.taxonomy_version,
            "step": None if group.step is None else StepNameSchema.of(group.step),
            "failures": group.failures,
            "recovered": group.recovered,
            "fatal": group.fatal,
            "runs": group.runs,
            "versions": list(group.versions),
            "first_seen": group.first_occurred_at,
            "last_seen": group.last_occurred_at,
            "last_run_id": group.last_run_id,
            "trend": list(group.trend),
        }


class _Times(ResponseSchema):
    window: Annotated[Window, Field(description="Whole buckets: those that the requested window touches.")]
    bucket: Annotated[BucketSize, Field(description="How long each bucket is; never `auto`.")]
    zone: str
    times: Annotated[list[datetime], Field(description="When each bucket begins.")]


class GroupsSchema(_Times):
    """Kinds of failure, in the order that was asked for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_TIMES, "groups": [_GROUP], "more": False}]})

    groups: list[TrendSchema]
    more: Annotated[
        bool,
        Field(description=f"Whether there are more than `limit`. The {GROUPS_SORTED:,} most frequent ones are put in order."),
    ]

    @classmethod
    def of(cls, groups: Sequence[FailureTrend], cut: Buckets, *, zone: str, more: bool) -> Self:
        """Convert the store's groups."""
        return cls(**_times(cut, zone), groups=[TrendSchema(**TrendSchema.members(group)) for group in groups], more=more)


class VersionFailuresSchema(ResponseSchema):
    """One kind of failure in one version."""

    agent_version: str
    failures: int
    runs: Annotated[int, Field(description="Runs with it.")]
    all_runs: Annotated[int, Field(description="All runs of this version in the window.")]
    rate: Annotated[float | None, Field(description="The share of the runs with it, at most 1; null where none is counted.")]


class EvidenceSchema(ResponseSchema):
    """What the rules saw, and which of them said so."""

    error_class: str | None
    error_code: str | None
    http_status: int | None
    rule_id: str
    taxonomy_version: int
    failures: int


class StorySchema(TrendSchema, _Times):
    """One kind of failure in detail."""

    model_config = ConfigDict(json_schema_extra={"examples": [_STORY]})

    by_version: list[VersionFailuresSchema]
    evidence: Annotated[list[EvidenceSchema], Field(description="The most frequent first.")]
    path: Annotated[list[StepNameSchema], Field(description="From the run to the failed step, of the newest failure.")]
    sample_runs: Annotated[list[RunSchema], Field(description="Runs with it, the newest of all up to the window's end.")]
    peer_run_id: Annotated[
        UUID | None, Field(description="The newest successful run of the same shape without it, to compare with; null: none.")
    ]

    @classmethod
    def of_story(cls, story: FailureStory, cut: Buckets, *, zone: str, all_runs: Mapping[str, int]) -> Self:
        """Convert the store's story. `all_runs` are those of each version of the agent."""
        return cls(
            **TrendSchema.members(story.group),
            **_times(cut, zone),
            by_version=[
                VersionFailuresSchema(
                    agent_version=each.agent_version,
                    failures=each.failures,
                    runs=each.runs,
                    all_runs=all_runs.get(each.agent_version, 0),
                    rate=_rate(each.runs, all_runs.get(each.agent_version, 0)),
                )
                for each in story.by_version
            ],
            evidence=[
                EvidenceSchema(
                    error_class=each.error_class,
                    error_code=each.error_code,
                    http_status=each.http_status,
                    rule_id=each.rule_id,
                    taxonomy_version=each.taxonomy_version,
                    failures=each.failures,
                )
                for each in story.evidence
            ],
            path=[StepNameSchema.of(step) for step in story.path],
            sample_runs=[RunSchema.of(run) for run in story.runs],
            peer_run_id=story.peer_run_id,
        )


def _rate(runs: int, all_runs: int) -> float | None:
    """A run is counted by its start and its failure by when it occurred, so more can have failed than began."""
    return min(1.0, runs / all_runs) if all_runs else None


def _times(cut: Buckets, zone: str) -> dict[str, Any]:
    return {
        "window": Window(since=cut.since, until=cut.until),
        "bucket": cut.size,
        "zone": zone,
        "times": list(cut.starts),
    }
