"""Compaction on the real store: totals and deltas together are always the sums of what writers appended, in every span.

The deltas are of few minutes, names and buckets, so that they meet; now is a minute of the test's choice.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agenttracer.wire.vocabulary import OTHER_NAME
from ddl import rollups
from ddl.migrate import SCHEMA
from stream_workers.rollups import compaction, name_cap
from stream_workers.rollups.compaction import KINDS, Which, compact, compact_within, settled
from tests.support.stacks import Stack

NOW = rollups.DAY * 20_000 + 600
AGES_DAYS = (0, 1, 5, 40, 200)
"""Of each span that is stored, and of none but days."""
TABLES = ("run_rollup_deltas", "step_rollup_deltas", "run_rollup_totals", "step_rollup_totals", "run_rollups", "step_rollups")


class Appended(NamedTuple):
    """A delta as a writer appends it."""

    minute: int
    agent: str
    name: str
    count: int
    latency_us: int
    bucket: int
    tokens: int = 0
    """As many in, their negative out, and thrice as much cost: of the step alone."""
    model: str = ""


class Store:
    """One database, and a session in it as the workers' role."""

    def __init__(self, dsn: dict[str, str]) -> None:
        self.runner = asyncio.Runner()
        self._dsn = dsn
        self.connection = self.runner.run(self.connect("worker"))
        self.owner = self.runner.run(self.connect("owner"))

    async def connect(self, role: str) -> asyncpg.Connection:
        settings = {"search_path": SCHEMA, "timezone": "UTC", **compaction.SETTINGS}
        return await asyncpg.connect(self._dsn[role], server_settings=settings)

    async def empty(self) -> None:
        await self.owner.execute("; ".join(f"DELETE FROM {table}" for table in TABLES))

    async def append(self, deltas: Sequence[Appended], *, connection: asyncpg.Connection | None = None) -> None:
        """Each as a run and as a step."""
        session = connection or self.connection
        packed = [(rollups.moment(one.minute), one.agent, one.name, one.count, one.latency_us, _histogram(one)) for one in deltas]
        await session.executemany(
            "INSERT INTO run_rollup_deltas VALUES ('p', $1, $2, '1', 'success', 'tool', $3, $4, $5, $6)", packed
        )
        await session.executemany(
            "INSERT INTO step_rollup_deltas VALUES ('p', $1, $2, '1', 'tool', $3, 'ok', $7, $4, $5, $8::numeric, -$8::numeric, "
            "3 * $8::numeric, $6)",
            [(*row, one.model, one.tokens) for row, one in zip(packed, deltas, strict=True)],
        )

    async def sums(self, kind: str, span: int) -> "Sums":
        """Totals of the span and deltas by period and names, as a reader adds them up."""
        columns = _COLUMNS[kind]
        rows = await self.owner.fetch(
            f"SELECT period, agent, {columns}, histogram FROM {kind}_rollup_totals WHERE span_minutes = $1 UNION ALL"
            f" SELECT minute, agent, {columns}, histogram FROM {kind}_rollup_deltas",
            span,
        )
        found = Sums()
        for at, agent, name, model, *figures, packed in (row.values() for row in rows):
            period = rollups.minute_of(at) // span * span
            found.add((period, agent, name, model), tuple(map(int, figures)), rollups.unpack(packed))
        return found

    def close(self) -> None:
        self.runner.run(self.connection.close())
        self.runner.run(self.owner.close())
        self.runner.close()


_COLUMNS = {
    "run": "failure_code, '' AS model, runs, latency_us, 0 AS input_tokens, 0 AS output_tokens, 0 AS cost",
    "step": "name, model, steps, latency_us, input_tokens, output_tokens, cost",
}
Figures = tuple[int, ...]
"""Count, latency, input tokens, output tokens, cost."""


class Sums(defaultdict[tuple[Any, ...], list[Any]]):
    """Figures and histogram by key."""

    def __init__(self) -> None:
        super().__init__(lambda: [(0,) * 5, Counter()])

    def add(self, key: tuple[Any, ...], figures: Figures, histogram: dict[int, int]) -> None:
        self[key][0] = tuple(one + other for one, other in zip(self[key][0], figures, strict=True))
        self[key][1].update(histogram)

    def settled(self) -> dict[tuple[Any, ...], tuple[Figures, dict[int, int]]]:
        """Without what counts nothing."""
        plain = {key: (figures, {b: c for b, c in histogram.items() if c}) for key, (figures, histogram) in self.items()}
        return {key: value for key, value in plain.items() if any(value[0]) or value[1]}


def _since(sums: dict[tuple[Any, ...], Any], oldest: int) -> dict[tuple[Any, ...], Any]:
    return {key: value for key, value in sums.items() if key[0] >= oldest}


def _histogram(one: Appended) -> bytes:
    return rollups.pack({one.bucket: one.count})


def _wanted(kind: str, deltas: Sequence[Appended], span: int) -> Sums:
    found = Sums()
    for one in deltas:
        model, tokens = (one.model, one.tokens) if kind == "step" else ("", 0)
        figures = (one.count, one.latency_us, tokens, -tokens, 3 * tokens)
        found.add((one.minute // span * span, one.agent, one.name, model), figures, {one.bucket: one.count})
    return found


@pytest.fixture(scope="module")
def store(stack: Stack) -> Iterator[Store]:
    database = stack.migrated_database()
    made = Store({role: stack.dsn(database=database, role=f"agenttracer_{role}") for role in ("owner", "worker")})
    yield made
    made.close()


_MINUTES = st.tuples(st.sampled_from(AGES_DAYS), st.sampled_from((0, 1, 14, 15, 59, 60, 599))).map(
    lambda age: NOW - age[0] * rollups.DAY - age[1]
)
_DELTAS = st.lists(
    st.builds(
        Appended,
        minute=_MINUTES,
        agent=st.sampled_from("ab"),
        name=st.sampled_from(["x", "y"]),
        count=st.integers(-2, 3),
        latency_us=st.integers(-1_000, 10**15),
        bucket=st.integers(-1, 2),
        tokens=st.sampled_from((-1, 0, 1, 10**12)),
        model=st.sampled_from(("", "m")),
    ),
    max_size=8,
)
_WHICH = st.sampled_from([Which(), settled(NOW), Which(since=NOW - rollups.DAY), Which(until=NOW - 14)])


@settings(max_examples=60, deadline=None)
@given(rounds=st.lists(st.tuples(_DELTAS, _WHICH, st.integers(1, 5)), min_size=1, max_size=4))
def test_totals_and_deltas_are_what_was_appended(store: Store, rounds: list[tuple[list[Appended], Which, int]]) -> None:
    """In every span that is stored, after any compactions between any appends; once all is compacted no delta is left."""

    async def work() -> None:
        await store.empty()
        appended: list[Appended] = []
        for deltas, which, most in [*rounds, ([], Which(), 3)]:
            await store.append(deltas)
            appended += deltas
            await compact(store.connection, "p", now=NOW, which=which, deltas_max=most)
            for kind in KINDS:
                for span in rollups.SPANS:
                    oldest = rollups.oldest_stored(span, now=NOW) or 0
                    found = (await store.sums(kind.name, span)).settled()
                    wanted = _wanted(kind.name, appended, span).settled()
                    assert {k: v for k, v in found.items() if k[0] >= oldest} == {
                        k: v for k, v in wanted.items() if k[0] >= oldest
                    }
        assert await store.owner.fetchval("SELECT count(*) FROM (TABLE run_rollup_deltas) AS left_over") == 0
        nothing = (
            "SELECT count(*) FROM step_rollup_totals WHERE steps = 0 AND latency_us = 0 AND histogram = ''"
            " AND (input_tokens, output_tokens, cost) = (0, 0, 0)"
        )
        assert await store.owner.fetchval(nothing) == 0

    store.runner.run(work())


def test_what_is_taken_back_leaves_no_name(store: Store) -> None:
    """Totals that count nothing are removed in the compaction that made them so."""
    minute = NOW - 30

    async def work() -> None:
        await store.empty()
        await store.append([Appended(minute, "a", "x", 2, 70, 5), Appended(minute, "a", "y", 1, 7, 5)])
        await compact(store.connection, "p", now=NOW)
        async with store.owner.transaction():
            await store.append([Appended(minute, "a", "x", -2, -70, 5)], connection=store.owner)
            await compact_within(store.owner, "p", now=NOW, which=Which(since=minute, until=minute + 1))
        names = await store.owner.fetch("SELECT DISTINCT name FROM step_rollup_totals UNION SELECT name FROM step_rollup_deltas")
        assert [row["name"] for row in names] == ["y"]

    store.runner.run(work())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_names_beyond_the_bound_are_added_up_as_one(store: Store, seed: int) -> None:
    """No sum changes, and names stay few.

    A name that is known from the days before is never renamed, also where the day counted it as `__other__` before: what is taken
    back then counts below zero under the name, and readers leave it out.
    """
    chosen = random.Random(seed)
    stored: list[Appended] = []

    async def work() -> None:
        await store.empty()
        wanted: Counter[int] = Counter()
        for _ in range(6):
            deltas = [_new(chosen) for _ in range(chosen.randrange(8))]
            corrected = [stored.pop(chosen.randrange(len(stored))) for _ in range(min(2, len(stored)))]
            stored.extend(deltas)
            deltas += [one._replace(count=-1, latency_us=-one.latency_us, tokens=-one.tokens) for one in corrected]
            for one in deltas:
                wanted[rollups.day_of(one.minute)] += one.count
            await store.append(deltas)
            await compact(store.connection, "p", now=NOW)
        totals = (await store.sums("step", rollups.DAY)).settled()
        found: Counter[int] = Counter()
        for (day, *_), ((count, *_), _) in totals.items():
            found[day] += count
        assert {day: n for day, n in found.items() if n} == {day: n for day, n in wanted.items() if n}
        for day in found:
            assert len({name for one, _, name, _ in totals if one == day} - {OTHER_NAME}) <= 3 * 2
            assert len({model for one, *_, model in totals if one == day} - {OTHER_NAME}) <= 3 * 2

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name_cap, "NAMES_MAX", 3)
        store.runner.run(work())


def _new(chosen: random.Random) -> Appended:
    minute = NOW - chosen.choice((0, 1)) * rollups.DAY
    return Appended(minute, "a", f"n{chosen.randrange(12)}", 1, chosen.randrange(100), 3, 7, f"m{chosen.randrange(12)}")


def test_readers_beside_writers_and_compactions_see_every_figure_once(store: Store) -> None:
    """One statement is one moment: writers append what adds up to nothing, and nothing is what every reader adds up, always."""
    until = 120

    async def write(number: int) -> None:
        chosen, session = random.Random(number), await store.connect("worker")
        for _ in range(until):
            one = Appended(NOW - chosen.randrange(90), f"agent{number}", "x", 1, 1, 4)
            other = one._replace(minute=NOW - chosen.randrange(90), count=-1, latency_us=-1)
            async with session.transaction():
                await store.append([one, other], connection=session)
        await session.close()

    async def compacting(writing: "asyncio.Future[Any]") -> None:
        session = await store.connect("worker")
        while not writing.done():
            await compact(session, "p", now=NOW, deltas_max=7)
        await session.close()

    async def read(writing: "asyncio.Future[Any]") -> int:
        session, seen = await store.connect("owner"), 0
        query = """SELECT coalesce(sum(steps), 0), coalesce(sum(latency_us), 0), count(*) FROM (
            SELECT steps, latency_us FROM step_rollup_totals WHERE project = 'p' AND span_minutes = $1
            UNION ALL SELECT steps, latency_us FROM step_rollup_deltas WHERE project = 'p') AS parts"""
        while not writing.done():
            for span in rollups.SPANS:
                steps, latency_us, rows = await session.fetchrow(query, span)
                assert (steps, latency_us) == (0, 0)
                seen += bool(rows)
        await session.close()
        return seen

    async def work() -> None:
        await store.empty()
        writing = asyncio.gather(*(write(number) for number in range(3)))
        _, seen, *_ = await asyncio.gather(writing, read(writing), compacting(writing), compacting(writing))
        assert seen > 0

    store.runner.run(work())


def test_rollups_of_the_release_before_are_drained_beside_its_workers(store: Store) -> None:
    """Their rows become totals; a row that an old worker is writing waits for the next compaction, and nobody for anybody."""
    insert = """INSERT INTO step_rollups AS rollup VALUES ('p', $1, 'a', '1', 'tool', $2, 'ok', $3, 1, 5)
        ON CONFLICT (project, minute, agent, agent_version, kind, name, status, latency_bucket) DO UPDATE
        SET steps = rollup.steps + 1, latency_us = rollup.latency_us + 5"""

    async def work() -> None:
        await store.empty()
        for minute in range(NOW - 200, NOW, 7):
            for name in ("x", "y"):
                await store.connection.execute(insert, rollups.moment(minute), name, minute % 3)
        count = 2 * len(range(NOW - 200, NOW, 7))
        old = await store.connect("worker")
        async with old.transaction():
            await old.execute(insert, rollups.moment(NOW - 200), "x", (NOW - 200) % 3)
            await compact(store.connection, "p", now=NOW)
            assert await store.owner.fetchval("SELECT count(*) FROM step_rollups") == 1
        await compact(store.connection, "p", now=NOW)
        await old.close()
        assert await store.owner.fetchval("SELECT count(*) FROM step_rollups") == 0
        for span in rollups.SPANS:
            found = (await store.sums("step", span)).settled()
            assert [sum(one) for one in zip(*(figures for figures, _ in found.values()), strict=True)] == [
                count + 1,
                5 * (count + 1),
                0,
                0,
                0,
            ]
            assert sum(sum(histogram.values()) for _, histogram in found.values()) == count + 1

    store.runner.run(work())


def test_short_spans_expire_and_days_stay(store: Store) -> None:
    """A minute's totals are kept for three days, a day's as long as the project keeps statistics."""
    minute = NOW - 2 * rollups.DAY

    async def work() -> None:
        await store.empty()
        await store.append([Appended(minute, "a", "x", 1, 1, 1)])
        await compact(store.connection, "p", now=NOW)
        later = NOW + 200 * rollups.DAY
        await compaction.expire_short_spans(store.connection, "p", now=NOW + 2 * rollups.DAY)
        assert await _spans(store) == [15, 60, 1_440]
        await compaction.expire_short_spans_of_all(store.connection, now=later)
        assert await _spans(store) == [1_440]

    store.runner.run(work())


async def _spans(store: Store) -> list[int]:
    rows = await store.owner.fetch("SELECT DISTINCT span_minutes FROM step_rollup_totals ORDER BY 1")
    return [row["span_minutes"] for row in rows]
