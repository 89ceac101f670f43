"""Adds deltas of statistics to totals, in small transactions that anybody may end at any moment.

A transaction takes one project's deltas of some minutes, adds them to the totals of every span, and writes these. Deltas and
totals change in one COMMIT, so a reader in one statement, or in one snapshot, sees each figure once. Writers only append deltas
and wait for nobody. Minutes are counted since 1970, UTC.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg

from agenttracer.wire.vocabulary import OTHER_NAME
from ddl import rollups
from servicekit import sql
from stream_workers.rollups import name_cap

QUERIES: Final = sql.load(Path(__file__).with_name("compaction.sql"))
DELTAS_MAX: Final = 20_000
"""A transaction's share: some ten MB of memory, and some tenths of a second."""
_MINUTES_MAX: Final = 240
_MINUTES_DRAINED: Final = 60
_DRAINED_AFTER: Final = 60
"""Minutes. A worker of the release before takes a step back with an UPDATE, which finds nothing of what was drained. It does so
moments after it wrote the step, where it does so at all."""
_RECENT_DAYS: Final = 7
"""A name in the totals of so many days before keeps its name today, too."""
SETTINGS: Final[Mapping[str, str]] = {
    # Totals are looked up key by key; a plan made for an empty table would read them whole for ever.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_custom_plan",
}
"""Of a session that compacts."""
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """Statistics of runs or of steps: parameters of the statements, in the order of their columns."""

    name: str
    keys: tuple[str, ...]
    figures: tuple[str, ...]
    """The first one is the count. The histogram is none of them."""
    capped: tuple[str, ...]
    """Keys with names of the sender's choice."""


KINDS: Final = (
    Kind(
        "run",
        keys=("agents", "versions", "statuses", "failure_types", "failure_codes"),
        figures=("runs", "latencies_us"),
        capped=("agents", "versions", "failure_codes"),
    ),
    Kind(
        "step",
        keys=("agents", "versions", "kinds", "names", "statuses", "models"),
        figures=("steps", "latencies_us", "input_tokens", "output_tokens", "costs"),
        capped=("agents", "versions", "names", "models"),
    ),
)


class Delta(NamedTuple):
    """All that one minute's deltas of one key amount to."""

    minute: int
    names: Key
    figures: Sequence[Any]
    histogram: Mapping[int, int]


class Which(NamedTuple):
    """Which minutes to compact: from `since`, up to and not including `until` (None: no bound), without those in `busy`.

    Rollups of the release before are drained up to `drained_until`.
    """

    since: int | None = None
    until: int | None = None
    busy: Collection[int] = ()
    drained_until: int | None = None

    def bound(self) -> dict[str, Any]:
        """The values of the statements' parameters."""
        return {"since": _moment(self.since), "until": _moment(self.until), "busy": [rollups.moment(one) for one in self.busy]}

    def bound_of_drain(self) -> dict[str, Any]:
        """The same for the rollups of the release before."""
        ends = [end for end in (self.until, self.drained_until) if end is not None]
        return {"since": _moment(self.since), "until": _moment(min(ends, default=None))}


def _moment(minute: int | None) -> datetime | None:
    return None if minute is None else rollups.moment(minute)


ALL: Final = Which()


def settled(now: int) -> Which:
    """All but the minutes that writers are adding to: each is then compacted once, and not with every batch."""
    return Which(busy=range(now - 1, now + 2), drained_until=now - _DRAINED_AFTER)


class _Sum:
    """Figures of one key in one period."""

    __slots__ = ("figures", "histogram")

    def __init__(self, width: int) -> None:
        self.figures: list[Any] = [0] * width
        self.histogram: dict[int, int] = {}

    def add(self, figures: Iterable[Any], histogram: Mapping[int, int]) -> None:
        self.figures = [one + other for one, other in zip(self.figures, figures, strict=True)]
        for bucket, count in histogram.items():
            self.histogram[bucket] = self.histogram.get(bucket, 0) + count


async def projects(connection: asyncpg.Connection) -> Sequence[str]:
    """Those that have anything to compact."""
    return [row["project"] for row in await connection.fetch(*QUERIES["projects"].bind())]


async def compact(
    connection: asyncpg.Connection, project: str, *, now: int, which: Which = ALL, deltas_max: int = DELTAS_MAX
) -> int:
    """Compact one project's deltas, transaction by transaction. Answers how many.

    It ends early where another one is at work. Raises asyncpg's errors; what was committed before stays.
    """
    done = 0
    for kind in KINDS:
        while True:
            async with connection.transaction():
                if not await connection.fetchval(*QUERIES["take_turn"].bind()):
                    return done
                found = await _compact_some(connection, kind, project, now=now, which=which, deltas_max=deltas_max)
            if not found:
                break
            done += found
    return done


async def compact_within(connection: asyncpg.Connection, project: str, *, now: int, which: Which) -> None:
    """Compact one project's deltas in the transaction that is under way, after waiting for whoever compacts."""
    await await_turn(connection)
    for kind in KINDS:
        while await _compact_some(connection, kind, project, now=now, which=which, deltas_max=DELTAS_MAX):
            pass


async def await_turn(connection: asyncpg.Connection) -> None:
    """Nobody else changes totals until this transaction ends."""
    await connection.execute(*QUERIES["await_turn"].bind())


async def count_deltas(connection: asyncpg.Connection) -> int:
    """How many deltas of all projects are not compacted yet."""
    return int(await connection.fetchval(*QUERIES["count_deltas"].bind()))


async def expire_short_spans(connection: asyncpg.Connection, project: str, *, now: int) -> None:
    """Remove totals of spans by which their time is read no more."""
    for span in rollups.SPANS:
        before = rollups.oldest_stored(span, now=now)
        for kind in KINDS if before is not None else ():
            bound = {"project": project, "span": span, "before": _moment(before)}
            await connection.execute(*QUERIES[f"expire_{kind.name}_totals"].bind(**bound))


async def expire_short_spans_of_all(connection: asyncpg.Connection, *, now: int) -> None:
    """As `expire_short_spans`, of every project that has totals."""
    for row in await connection.fetch(*QUERIES["projects_with_totals"].bind()):
        await expire_short_spans(connection, row["project"], now=now)


async def _compact_some(
    connection: asyncpg.Connection, kind: Kind, project: str, *, now: int, which: Which, deltas_max: int
) -> int:
    """One transaction's share. Answers how many deltas it had."""
    await connection.execute(
        *QUERIES[f"drain_{kind.name}_rollups"].bind(project=project, **which.bound_of_drain(), minutes_max=_MINUTES_DRAINED)
    )
    minutes, count = await _minutes(connection, kind, project, which, deltas_max)
    if minutes:
        deltas = await _take(connection, kind, project, minutes)
        await _add(connection, kind, project, _by_period(kind, await _capped(connection, kind, project, deltas), now))
    return count


async def _minutes(
    connection: asyncpg.Connection, kind: Kind, project: str, which: Which, deltas_max: int
) -> tuple[list[int], int]:
    """Whole minutes with as many deltas as a transaction takes, and how many these are."""
    bound = QUERIES[f"{kind.name}_minutes"].bind(project=project, **which.bound(), minutes_max=_MINUTES_MAX)
    minutes: list[int] = []
    count = 0
    for row in await connection.fetch(*bound):
        if minutes and count + row["deltas"] > deltas_max:
            break
        minutes.append(rollups.minute_of(row["minute"]))
        count += row["deltas"]
    return minutes, count


async def _take(connection: asyncpg.Connection, kind: Kind, project: str, minutes: Sequence[int]) -> list[Delta]:
    width = len(kind.keys)
    moments = [rollups.moment(minute) for minute in minutes]
    rows = await connection.fetch(*QUERIES[f"take_{kind.name}_deltas"].bind(project=project, minutes=moments))
    return [
        Delta(rollups.minute_of(minute), tuple(values[:width]), values[width:], rollups.unpack(packed))
        for minute, *values, packed in (row.values() for row in rows)
    ]


async def _capped(connection: asyncpg.Connection, kind: Kind, project: str, deltas: list[Delta]) -> list[Delta]:
    """The deltas, with `__other__` for names that are too many for their day."""
    if not deltas:
        return deltas
    known = await _known_names(connection, kind, project, {rollups.day_of(delta.minute) for delta in deltas})
    for at, what in enumerate(kind.keys):
        if what in kind.capped:
            incoming = name_cap.counted((rollups.day_of(one.minute), one.names[at], one.figures[0]) for one in deltas)
            for day, names in incoming.items():
                cap = name_cap.NameCap({one[at] for one in known[day]}, most=name_cap.NAMES_MAX)
                if cap.exceeded_by(names):
                    recent = await _known_names(
                        connection, kind, project, range(day - _RECENT_DAYS * rollups.DAY, day, rollups.DAY)
                    )
                    others = cap.renamed(names, {one[at] for keys in recent.values() for one in keys})
                    deltas = [_renamed(one, at) if _is_of(one, day) and one.names[at] in others else one for one in deltas]
    return deltas


def _is_of(delta: Delta, day: int) -> bool:
    return rollups.day_of(delta.minute) == day


def _renamed(delta: Delta, at: int) -> Delta:
    return delta._replace(names=(*delta.names[:at], OTHER_NAME, *delta.names[at + 1 :]))


async def _known_names(
    connection: asyncpg.Connection, kind: Kind, project: str, days: Iterable[int]
) -> defaultdict[int, set[Key]]:
    found: defaultdict[int, set[Key]] = defaultdict(set)
    moments = [rollups.moment(day) for day in days]
    for row in await connection.fetch(*QUERIES[f"{kind.name}_names"].bind(project=project, days=moments)):
        day, *names = row.values()
        found[rollups.minute_of(day)].add(tuple(names))
    return found


def _by_period(kind: Kind, deltas: Iterable[Delta], now: int) -> dict[Key, _Sum]:
    """What is added to totals: by span, period and names."""
    sums: defaultdict[Key, _Sum] = defaultdict(lambda: _Sum(len(kind.figures)))
    for delta in deltas:
        for span, period in rollups.periods(delta.minute, now=now):
            sums[span, period, *delta.names].add(delta.figures, delta.histogram)
    return sums


async def _add(connection: asyncpg.Connection, kind: Kind, project: str, sums: dict[Key, _Sum]) -> None:
    """Replace the totals by themselves and these sums. A total that counts nothing is removed, and its names with it."""
    width = len(kind.keys)
    for row in await connection.fetch(*QUERIES[f"{kind.name}_totals"].bind(project=project, **_keys(kind, sums))):
        span, period, *values, packed = row.values()
        sums[span, rollups.minute_of(period), *values[:width]].add(values[width:], rollups.unpack(packed))
    await connection.execute(
        *QUERIES[f"write_{kind.name}_totals"].bind(project=project, **_keys(kind, sums), **_figures(kind, sums))
    )
    nothing = [key for key, total in sums.items() if not any(total.figures) and not any(total.histogram.values())]
    if nothing:
        await connection.execute(*QUERIES[f"sweep_{kind.name}_totals"].bind(project=project, **_keys(kind, nothing)))


def _keys(kind: Kind, keys: Iterable[Key]) -> dict[str, list[Any]]:
    """The columns of keys by parameter."""
    spans, minutes, *names = zip(*keys, strict=True)
    columns = {name: list(column) for name, column in zip(kind.keys, names, strict=True)}
    return {"spans": list(spans), "periods": [rollups.moment(minute) for minute in minutes], **columns}


def _figures(kind: Kind, sums: Mapping[Key, _Sum]) -> dict[str, list[Any]]:
    """The columns of figures by parameter."""
    columns = zip(*(total.figures for total in sums.values()), strict=True)
    figures = {name: list(column) for name, column in zip(kind.figures, columns, strict=True)}
    return figures | {"histograms": [rollups.pack(total.histogram) for total in sums.values()]}
