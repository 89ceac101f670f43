"""The routes `/v1/agents` and `/v1/names`: who ran and what they are called, with how often."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Depends, Query

from agenttracer.wire.vocabulary import StepKind
from ddl import rollups
from ddl.rollups import minute_of, moment
from query_service import aggregate
from query_service.aggregate import RunTotals
from query_service.api.auth import ReadingProject
from query_service.api.error_handlers import ERRORS
from query_service.api.parameters import only
from query_service.api.statistics.agents_schema import (
    NAMES_MAX,
    AgentSchema,
    AgentsSchema,
    FacetName,
    FacetsSchema,
    NamesSchema,
    VersionSchema,
    figures,
)
from query_service.api.statistics.parameters import WindowQuery
from query_service.api.stats import Clock, whole_minutes
from query_service.api.stats_schema import Window
from query_service.store.rows import CountedRuns, RunCount, Seen, StepCount
from query_service.store.store import Column, CountFilter, StoreReader

_WEEK: Final = timedelta(days=7)
_DAY: Final = timedelta(days=1)
_VERSIONS: Final = frozenset({Column.AGENT, Column.AGENT_VERSION, Column.STATUS})
_NAMES: Final = frozenset(Column)
_Name = TypeVar("_Name", str, tuple[str, str])


def agents_router(*, store: StoreReader, project_of: ReadingProject, clock: Clock) -> APIRouter:
    """The routes. `clock` gives the end of the default window."""
    router = APIRouter(tags=["statistics"], responses=ERRORS, dependencies=[Depends(project_of)])
    project_type = Annotated[str, Depends(project_of)]
    only_window = [Depends(only(*WindowQuery.model_fields))]

    @router.get("/v1/agents", summary="Agents and their versions", dependencies=only_window)
    async def agents(query: Annotated[WindowQuery, Query()], project: project_type) -> AgentsSchema:
        """All agents and versions that statistics know, with the figures of the window: by default the last seven days."""
        which = _filter(query, now=clock(), default=_WEEK, by=_VERSIONS, histograms=True)
        seen = await store.seen(project, agent=query.agent_id)
        return await asyncio.to_thread(_agents, query, which, seen, await store.run_counts(project, which))

    @router.get("/v1/names", summary="Names to filter by", dependencies=only_window)
    async def names(query: Annotated[WindowQuery, Query()], project: project_type) -> NamesSchema:
        """What agents, versions, steps, tools and models are called in the window, by default the last day, and how often."""
        which = _filter(query, now=clock(), default=_DAY, by=_NAMES, histograms=False)
        runs, steps = await store.run_counts(project, which), await store.step_counts(project, which)
        return await asyncio.to_thread(_names, which, runs, steps)

    return router


def _filter(query: WindowQuery, *, now: datetime, default: timedelta, by: frozenset[Column], histograms: bool) -> CountFilter:
    since, until = query.window(now=now, default=default)
    asked = whole_minutes(since=since, until=until, now=now)
    parts = rollups.parts(minute_of(asked.since), minute_of(asked.until), now=minute_of(now))
    return CountFilter(
        since=moment(parts[0].since),
        until=moment(parts[-1].until),
        parts=parts,
        by=by,
        histograms=histograms,
        agent=query.agent_id,
        agent_version=query.agent_version,
    )


def _agents(query: WindowQuery, which: CountFilter, seen: Sequence[Seen], counts: CountedRuns) -> AgentsSchema:
    totals: dict[tuple[str, str], RunTotals] = {}
    for row in aggregate.settled(counts, which):
        totals.setdefault((row.agent, row.agent_version), RunTotals()).add(row)
    by_agent: dict[str, list[Seen]] = {}
    for one in seen:
        if query.agent_version in {None, one.agent_version}:
            by_agent.setdefault(one.agent, []).append(one)
    return AgentsSchema(
        window=Window(since=which.since, until=which.until),
        agents=[_agent(agent, versions, totals) for agent, versions in sorted(by_agent.items())],
    )


def _agent(agent: str, versions: Sequence[Seen], totals: dict[tuple[str, str], RunTotals]) -> AgentSchema:
    newest_first = sorted(versions, key=lambda one: (one.first, one.agent_version), reverse=True)
    found = [(one, totals.get((agent, one.agent_version), RunTotals())) for one in newest_first]
    first, last = min(one.first for one in versions), max(one.last for one in versions)
    return AgentSchema(
        **figures(aggregate.added([total for _, total in found]), first=first, last=last),
        agent_id=agent,
        versions=[
            VersionSchema(**figures(total, first=one.first, last=one.last), agent_version=one.agent_version)
            for one, total in found
        ],
    )


def _names(which: CountFilter, runs: CountedRuns, steps: Sequence[StepCount]) -> NamesSchema:
    settled = list(aggregate.settled(runs, which))
    facets = {
        "agent": _facet((row.agent, row.runs) for row in settled),
        "version": _facet((row.agent_version, row.runs) for row in settled),
        "status": _facet((row.status, row.runs) for row in settled),
        "failure_code": _facet(_codes(settled)),
        "step": _steps(steps, kinds=frozenset(StepKind)),
        "tool": _steps(steps, kinds=frozenset({StepKind.TOOL})),
        "model": _facet((row.model, row.steps) for row in steps if row.model),
    }
    return NamesSchema(
        window=Window(since=which.since, until=which.until),
        names=FacetsSchema(**{name: found[:NAMES_MAX] for name, found in facets.items()}),
        more={name: len(found) > NAMES_MAX for name, found in facets.items()},
    )


def _codes(rows: Iterable[RunCount]) -> Iterator[tuple[str, int]]:
    return ((row.failure_code, row.runs) for row in rows if row.failure_code)


def _facet(counted: Iterable[tuple[str, int]]) -> list[FacetName]:
    sums: Counter[str] = Counter()
    for name, count in counted:
        sums[name] += count
    return [FacetName(name=name, count=count) for name, count in _by_frequency(sums)]


def _steps(rows: Sequence[StepCount], *, kinds: frozenset[StepKind]) -> list[FacetName]:
    sums: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row.kind in kinds:
            sums[row.name, row.kind] += row.steps
    return [FacetName(name=name, kind=StepKind(kind), count=count) for (name, kind), count in _by_frequency(sums)]


def _by_frequency(sums: Counter[_Name]) -> list[tuple[_Name, int]]:
    return sorted(((name, count) for name, count in sums.items() if count > 0), key=lambda item: (-item[1], item[0]))
