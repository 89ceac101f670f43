"""The parameters of lists of runs. Forms and rules stand in `parameters.py`."""

import math
from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from pydantic import BeforeValidator, Field

from agenttracer.wire.vocabulary import EndReason, FailureType, RunStatus, StepKind
from query_service.api.detail_schema import FailureOutcome
from query_service.api.parameters import (
    RUNS_MAX,
    Absent,
    Code,
    Cursor,
    Dollars,
    Fingerprint,
    Flag,
    Metadata,
    MetadataRanges,
    Milliseconds,
    Name,
    QueryParameters,
    Session,
    Time,
    Whole,
    clamped,
    described,
    plain_digits,
    refuse_empty_window,
)
from query_service.completeness import CompletenessState
from query_service.errors import InputError
from query_service.store.store import ActiveIn, RunFilter, RunOrder, RunSearch

_DAY: Final = timedelta(days=1)
_NANO: Final = 10**9


class SelectingFilters(QueryParameters):
    """Parameters that say which of the runs that started in a window."""

    agent_id: Annotated[Name | Absent, Field(description=described("agent_id"))] = None
    agent_version: Annotated[Name | Absent, Field(description=described("agent_version"))] = None
    status: Annotated[RunStatus | Absent, Field(description=described("status"))] = None
    failure_type: Annotated[FailureType | Absent, Field(description=described("failure_type"))] = None
    failure_code: Annotated[Code | Absent, Field(description=described("failure_code"))] = None
    failure_fingerprint: Annotated[Fingerprint | Absent, Field(description=described("failure_fingerprint"))] = None
    outcome: Annotated[FailureOutcome | Absent, Field(description=described("outcome"))] = None
    shape: Annotated[Fingerprint | Absent, Field(description=described("shape"))] = None
    parent_run_id: Annotated[UUID | Absent, Field(description=described("parent_run_id"))] = None
    session: Annotated[Session | Absent, Field(description=described("session"))] = None
    end_reason: Annotated[EndReason | Absent, Field(description=described("end_reason"))] = None
    time_shifted: Annotated[Flag | Absent, Field(description=described("time_shifted"))] = None
    step_kind: Annotated[StepKind | Absent, Field(description=described("step_kind"))] = None
    step_name: Annotated[Name | Absent, Field(description=described("step_name"))] = None
    tool: Annotated[Name | Absent, Field(description=described("tool"))] = None
    model: Annotated[Name | Absent, Field(description=described("model"))] = None
    provider: Annotated[Name | Absent, Field(description=described("provider"))] = None
    metadata: Annotated[Metadata | Absent, Field(description=described("metadata"))] = None
    metadata_range: Annotated[MetadataRanges | Absent, Field(description=described("metadata_range"))] = None
    min_latency_ms: Annotated[Milliseconds | Absent, Field(description=described("min_latency_ms"))] = None
    max_latency_ms: Annotated[Milliseconds | Absent, Field(description=described("max_latency_ms"))] = None
    completeness: Annotated[CompletenessState | Absent, Field(description=described("completeness"))] = None
    min_tokens: Annotated[Whole | Absent, Field(description=described("min_tokens"))] = None
    max_tokens: Annotated[Whole | Absent, Field(description=described("max_tokens"))] = None
    min_cost: Annotated[Dollars | Absent, Field(description=described("min_cost"))] = None
    max_cost: Annotated[Dollars | Absent, Field(description=described("max_cost"))] = None
    since: Annotated[Time | Absent, Field(description=described("since"))] = None
    until: Annotated[Time | Absent, Field(description=described("until"))] = None

    def filter(self) -> RunFilter:
        """The filters that the store knows of every list. Raises InputError for an empty window."""
        if self.since is not None and self.until is not None:
            refuse_empty_window(self.since, self.until)
        return RunFilter(
            agent=self.agent_id,
            agent_version=self.agent_version,
            status=self.status,
            failure_type=self.failure_type,
            failure_code=self.failure_code,
            fingerprint=self.failure_fingerprint,
            shape=self.shape,
            since=None if self.since is None else clamped(self.since),
            until=None if self.until is None else clamped(self.until),
            min_latency_us=None if self.min_latency_ms is None else math.ceil(round(self.min_latency_ms * 1000, 3)),
        )

    def search(self, *, now: datetime) -> RunSearch:
        """The filters that runs are probed for. Raises InputError for ranges in more than a day, and for two names of a step."""
        if self.metadata_range is not None:
            self.refuse_long_window("metadata_range", now=now)
        if self.tool is not None and (self.step_name is not None or self.step_kind is not None):
            raise InputError("tool names a step by itself: leave out step_name and step_kind", field="tool")
        return RunSearch(
            outcome=self.outcome,
            parent_run_id=self.parent_run_id,
            session=self.session,
            end_reason=self.end_reason,
            time_shifted=self.time_shifted,
            step_kind=StepKind.TOOL if self.tool is not None else self.step_kind,
            step_name=self.tool or self.step_name,
            model=self.model,
            provider=self.provider,
            max_latency_us=None if self.max_latency_ms is None else math.floor(round(self.max_latency_ms * 1000, 3)),
            completeness=self.completeness,
            min_tokens=self.min_tokens,
            max_tokens=self.max_tokens,
            min_cost_nano=None if self.min_cost is None else math.ceil(round(self.min_cost * _NANO, 3)),
            max_cost_nano=None if self.max_cost is None else math.floor(round(self.max_cost * _NANO, 3)),
            active=self._active(),
            metadata=_pairs(self.metadata),
            ranges=_ranges(self.metadata_range),
        )

    def _active(self) -> bool:
        """Whether the window is about when runs were active."""
        return False

    def refuse_long_window(self, field: str, *, now: datetime) -> None:
        """Raises InputError where the window is longer than a day, or has no begin."""
        until = now if self.until is None else self.until
        if self.since is None or until - self.since > _DAY:
            raise InputError(f"{field} needs a window of at most 24 hours: give since, and until", field=field)


class RunFilters(SelectingFilters):
    """Parameters that say which runs."""

    window: Annotated[ActiveIn, Field(description=described("window"))] = ActiveIn.STARTED

    def _active(self) -> bool:
        return self.window is ActiveIn.ACTIVE


class RunQuery(RunFilters):
    """Parameters of `GET /v1/runs`."""

    sort: Annotated[RunOrder, Field(description="The newest, or the most, first. " + described("sort"))] = RunOrder.STARTED_AT
    cursor: Annotated[Cursor | Absent, Field(description=described("cursor"))] = None
    limit: Annotated[int, Field(ge=1, le=RUNS_MAX, description="Runs on the page."), BeforeValidator(plain_digits)] = 50


def _pairs(text: str | None) -> tuple[tuple[str, str], ...]:
    """Keys and values; a value can hold a colon, a key none."""
    return tuple((key, value) for key, _, value in (part.partition(":") for part in (text or "").split(",") if part))


def _ranges(text: str | None) -> tuple[tuple[str, float, float], ...]:
    found = []
    for key, bounds in _pairs(text):
        low, _, high = bounds.partition("..")
        found.append((key, float(low or "-inf"), float(high or "inf")))
    return tuple(found)
