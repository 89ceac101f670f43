"""The questions of `bench_queries`: for each filter typical, rare and hostile values, as addresses of the query API.

Each question is asked many times, with other values each time where there are many: an answer from memory says little.
"""

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import asyncpg

from tests.benchmarks import queries_fill
from tests.benchmarks.queries_fill import Store

PAGE_MS: Final = 50
STATS_MS: Final = 200
COMPARE_MS: Final = 1_000
_SHARE: Final = 2_000  # one pair of runs in so many is where values are taken from


class Question(NamedTuple):
    """One question: its addresses, and the p95 in milliseconds that it may take."""

    name: str
    bound_ms: int
    paths: Sequence[str]


class Sample(NamedTuple):
    """Runs of a store, some by each kind of id, and values that failures and shapes have."""

    otlp_ids: Sequence[str]
    sdk_ids: Sequence[str]
    shapes: Sequence[str]
    fingerprints: Sequence[str]


async def sample(dsn: str, store: Store) -> Sample:
    """Of the newest days, whose steps are there."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "agenttracer"})
    since = store.end - timedelta(days=queries_fill.DETAIL_DAYS - 1)
    try:
        rows = await connection.fetch(
            "SELECT run_id::text AS run_id, start_digest % 2 = 1 AS otlp, shape FROM runs "
            "WHERE project = 'default' AND started_at >= $1 AND start_digest % $2 < 2",
            since,
            max(2, store.runs // _SHARE * 2),
        )
        failures = await connection.fetch(
            "SELECT DISTINCT fingerprint FROM (SELECT fingerprint FROM failures WHERE project = 'default' LIMIT 2000) AS newest"
        )
    finally:
        await connection.close()
    return Sample(
        [row["run_id"] for row in rows if row["otlp"]],
        [row["run_id"] for row in rows if not row["otlp"]],
        [row["shape"] for row in rows if row["shape"]],
        [row["fingerprint"] for row in failures],
    )


def questions(store: Store, found: Sample, *, times: int) -> list[Question]:
    """All of them, each `times` times."""
    return [
        *_pages(store, found, times),
        *_probes(store, times),
        *_of_one_run(found, times),
        *_stats(store, times),
        *_over_time(store, found, times),
    ]


def _pages(store: Store, found: Sample, times: int) -> list[Question]:
    draw = random.Random(1)

    def moment() -> datetime:
        return store.begin + draw.random() * (store.end - store.begin)

    def agent() -> str:
        return f"agent-{int(queries_fill.AGENTS * draw.random() ** 2)}"

    def asked(name: str, **values: object) -> Question:
        def path() -> str:
            told = {key: value() if callable(value) else value for key, value in values.items()}
            return "/v1/runs?" + urlencode({key: _text(one) for key, one in told.items()})

        return Question(f"runs: {name}", PAGE_MS, [path() for _ in range(times)])

    newest_version = f"1.{(queries_fill.DAYS - 1) // 7}.0"
    return [
        asked("newest"),
        asked("until some moment", until=moment),
        asked("of an agent", agent_id=agent),
        asked("of an agent, until some moment", agent_id=agent, until=moment),
        asked("of a rare agent", agent_id=queries_fill.RARE_AGENT),
        asked("of a retired agent", agent_id=queries_fill.RETIRED_AGENT),
        asked("of the newest version", agent_version=newest_version),
        asked("of an old version", agent_version=queries_fill.OLD_VERSION),
        asked("of a rare version", agent_version=queries_fill.RARE_VERSION),
        asked("of an agent's old version", agent_id=agent, agent_version=queries_fill.OLD_VERSION),
        asked("of a version that is none", agent_version="no-such-version"),
        *(asked(f"status {one}", status=one) for one in ("success", "failure", "running", "abandoned")),
        asked("status partial, rare", status="partial"),
        asked("of an agent, status failure", agent_id=agent, status="failure"),
        asked("slow, many", min_latency_ms=1_000),
        asked("slow, all", min_latency_ms=0),
        asked("slow, some", min_latency_ms=lambda: round(50_000 + 9_000 * draw.random())),
        asked("slow, old", min_latency_ms=queries_fill.SLOW_OLD_MS),
        asked("slow, rare", min_latency_ms=queries_fill.SLOW_MS),
        asked("slow, none", min_latency_ms=80_000_000),
        asked("slow, of an agent", agent_id=agent, min_latency_ms=lambda: round(50_000 + 9_000 * draw.random())),
        asked("slow, until some moment", min_latency_ms=55_000, until=moment),
        asked("of a shape", shape=lambda: draw.choice(found.shapes)),
        asked("of a rare shape", shape=queries_fill.RARE_SHAPE),
        asked("failure type tool", failure_type="tool"),
        asked("failure type retrieval, rare", failure_type="retrieval"),
        asked("failure code timeout", failure_code="timeout"),
        asked("failure code, many and old", failure_code="old_code"),
        asked("failure code, rare", failure_code="rare_code"),
        asked("failure code, none", failure_code="no_such_code"),
        asked("failure code, until some moment", failure_code="timeout", until=moment),
        asked("silence", failure_code="abandoned"),
        asked("fingerprint", failure_fingerprint=lambda: draw.choice(found.fingerprints)),
        asked("fingerprint, rare", failure_fingerprint=queries_fill.RARE_FINGERPRINT),
    ]


def _of_one_run(found: Sample, times: int) -> list[Question]:
    def each(name: str, ids: Sequence[str], path: str = "") -> Question:
        return Question(f"run: {name}", PAGE_MS, [f"/v1/runs/{ids[number % len(ids)]}{path}" for number in range(times)])

    both = [one for pair in zip(found.otlp_ids, found.sdk_ids, strict=False) for one in pair]
    return [
        each("random id", found.otlp_ids),
        each("id that begins with its time", found.sdk_ids),
        each("steps", both, "/steps"),
        each("failures", both, "/failures"),
        each("as a whole", both, "/tree"),
        each("that it started", both, "/children"),
    ]


def _probes(store: Store, times: int) -> list[Question]:
    """Filters that runs are looked at for, of which some find much and some nothing, and the orders of a day."""

    def asked(name: str, bound_ms: int = PAGE_MS, path: str = "/v1/runs", **values: object) -> Question:
        address = f"{path}?" + urlencode({key: _text(one) for key, one in values.items()})
        return Question(f"probes: {name}", bound_ms, [address] * times)

    day: dict[str, Any] = {"since": store.end - timedelta(days=1), "until": store.end}
    return [
        asked("step that many have", step_kind="tool"),
        asked("tool that none has", tool="no-such-tool"),
        asked("metadata that none has", metadata="nothing:x"),
        asked("range in a day", metadata_range="nothing:0..", **day),
        asked("outcome", outcome="fatal"),
        asked("end reason", end_reason="error"),
        asked("fast", max_latency_ms=1),
        asked("active in a day", window="active", **day),
        *(asked(f"by {order}, a day", STATS_MS, sort=order, **day) for order in ("latency", "failures", "steps")),
        asked("facets of a day", STATS_MS, "/v1/runs/facets", **day),
        asked("sessions of a day", STATS_MS, "/v1/sessions", **day),
    ]


def _over_time(store: Store, found: Sample, times: int) -> list[Question]:
    draw = random.Random(3)

    def asked(name: str, path: str, length: timedelta, bound_ms: int = STATS_MS, **values: str) -> Question:
        def address() -> str:
            until = store.end - draw.random() * timedelta(hours=3)
            return f"{path}?" + urlencode({"since": _text(until - length), "until": _text(until), **values})

        return Question(f"time: {name}", bound_ms, [address() for _ in range(times)])

    lengths = {
        "1 h": timedelta(hours=1),
        "24 h": timedelta(days=1),
        "7 d": timedelta(days=7),
        "30 d": timedelta(days=queries_fill.DAYS),
    }
    a, b = (f"1.{week}.0" for week in ((queries_fill.DAYS - 1) // 7 - 1, (queries_fill.DAYS - 1) // 7))
    week = {"a_since": _text(store.end - timedelta(days=7)), "b_since": _text(store.end - timedelta(days=7))}
    compared = f"/v1/compare?{urlencode({'a_agent_version': a, 'b_agent_version': b, **week})}"
    return [
        *(asked(f"runs by version, {name}", "/v1/series", length, by="version") for name, length in lengths.items()),
        *(asked(f"runs by code, {name}", "/v1/series", length, by="code") for name, length in lengths.items()),
        *(asked(f"steps by tool, {name}", "/v1/series", length, of="steps", by="tool") for name, length in lengths.items()),
        *(asked(f"heatmap, {name}", "/v1/heatmap", length) for name, length in lengths.items()),
        *(asked(f"usage, {name}", "/v1/usage", length) for name, length in lengths.items()),
        *(asked(f"names, {name}", "/v1/names", length) for name, length in lengths.items()),
        *(asked(f"failures, {name}", "/v1/failures", length) for name, length in lengths.items()),
        asked("agents, 7 d", "/v1/agents", timedelta(days=7)),
        Question("time: story of a failure", STATS_MS, [f"/v1/failures/{draw.choice(found.fingerprints)}" for _ in range(times)]),
        Question("time: two versions, 7 d", COMPARE_MS, [compared] * times),
    ]


def _stats(store: Store, times: int) -> list[Question]:
    draw = random.Random(2)

    def asked(name: str, length: timedelta, *, back: timedelta = timedelta(), agent: Callable[[], str] | None = None) -> Question:
        def path() -> str:
            until = store.end - draw.random() * back
            values = {"since": until - length, "until": until} | ({"agent_id": agent()} if agent else {})
            return "/v1/stats?" + urlencode({key: _text(one) for key, one in values.items()})

        return Question(f"stats: {name}", STATS_MS, [path() for _ in range(times)])

    day = timedelta(days=1)
    return [
        asked("1 h", timedelta(hours=1), back=timedelta(hours=20)),
        asked("24 h", day, back=timedelta(hours=10)),
        asked("7 d", 7 * day, back=timedelta(hours=10)),
        asked("30 d", queries_fill.DAYS * day),
        asked("7 d of an agent", 7 * day, back=day, agent=lambda: f"agent-{int(queries_fill.AGENTS * draw.random() ** 2)}"),
        asked("1 h, long ago", timedelta(hours=1), back=(queries_fill.DAYS - 1) * day),
    ]


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
