"""The parameters of statistics by time and by name. Forms and rules stand in `query_service/api/parameters.py`."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field

from agenttracer.wire.vocabulary import StepKind
from query_service import buckets
from query_service.api.parameters import (
    GROUPS_MOST,
    RULES,
    Absent,
    Code,
    Name,
    QueryParameters,
    Time,
    Zone,
    clamped,
    described,
    plain_digits,
    refuse_empty_window,
)
from query_service.buckets import Buckets, BucketSize
from query_service.errors import InputError


class Population(StrEnum):
    """What is counted."""

    RUNS = "runs"
    STEPS = "steps"


class By(StrEnum):
    """By what series are told apart."""

    AGENT = "agent"
    VERSION = "version"
    STATUS = "status"
    CODE = "code"
    STEP = "step"
    TOOL = "tool"
    MODEL = "model"


_OF_RUNS_ALONE: Final = frozenset({By.STATUS, By.CODE})
_OF_STEPS_ALONE: Final = frozenset({By.STEP, By.TOOL, By.MODEL})


class WindowQuery(QueryParameters):
    """Parameters of every window of statistics."""

    since: Annotated[Time | Absent, Field(description=described("since"))] = None
    until: Annotated[Time | Absent, Field(description=described("until") + " Default: now.")] = None
    agent_id: Annotated[Name | Absent, Field(description=described("agent_id"))] = None
    agent_version: Annotated[Name | Absent, Field(description=described("agent_version"))] = None

    def window(self, *, now: datetime, default: timedelta) -> tuple[datetime, datetime]:
        """The bounds: up to now, and `default` long, where they are not given. Raises InputError for an empty window."""
        until = clamped(now if self.until is None else self.until)
        since = until - default if self.since is None else clamped(self.since)
        if self.since is not None:
            refuse_empty_window(since, until)
        return since, until


class BucketsQuery(WindowQuery):
    """Parameters of what is shown over time."""

    bucket: Annotated[
        BucketSize,
        Field(description=described("bucket") + " `auto` fits it to the window."),
    ] = BucketSize.AUTO
    zone: Annotated[Zone, Field(description=described("zone") + " Days begin at its midnight.")] = "UTC"

    def buckets(self, *, now: datetime, default: timedelta) -> Buckets:
        """The buckets of the window. Raises InputError."""
        since, until = self.window(now=now, default=default)
        return buckets.cut(since, until, size=self.bucket, zone=ZoneInfo(self.zone), now=now)


class SeriesQuery(BucketsQuery):
    """Parameters of `GET /v1/series`."""

    of: Annotated[Population, Field(description=described("of"))] = Population.RUNS
    by: Annotated[By | Absent, Field(description=described("by"))] = None
    groups: Annotated[
        int, Field(ge=1, le=GROUPS_MOST, description="Series that are told apart."), BeforeValidator(plain_digits)
    ] = 10
    failure_code: Annotated[Code | Absent, Field(description="Runs whose first failure has it. " + described("failure_code"))] = (
        None
    )
    step_kind: Annotated[StepKind | Absent, Field(description=described("step_kind"))] = None
    step_name: Annotated[Name | Absent, Field(description="Steps alone. " + described("step_name"))] = None
    model: Annotated[Name | Absent, Field(description="Steps alone. " + described("model"))] = None

    def refuse_mixtures(self) -> None:
        """Raises InputError where a parameter of runs is given for steps, or the other way round."""
        of_steps = self.of is Population.STEPS
        if self.by in (_OF_RUNS_ALONE if of_steps else _OF_STEPS_ALONE):
            raise InputError(f"by must fit what is counted: {RULES['by']}", field="by")
        wrong = ["failure_code"] if of_steps else ["step_kind", "step_name", "model"]
        for name in wrong:
            if getattr(self, name) is not None:
                raise InputError(f"{name} filters {'runs' if of_steps else 'steps'} alone", field=name)
