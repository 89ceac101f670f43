"""A rebuild from beginning to end. Killed anywhere, the next call goes on: what is done is told by the shadow schema alone.

shadow made ──fill in bulk──▶ targets reached ──finish──▶ follow the log ──compare──▶ swap
"""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from typing import Final

import asyncpg

from stream_workers.errors import RebuildError
from stream_workers.rebuild.diff import Diff, compare
from stream_workers.rebuild.fill import run_filler
from stream_workers.rebuild.plan import APPLICATION, Plan
from stream_workers.rebuild.shadow import Past, State, drop_shadow, finish, move_targets, prepare
from stream_workers.rebuild.swap import swap
from stream_workers.topic_log import Reach, TopicLog, open_log
from stream_workers.verify.verify import SKEW_US, head_of

_LOCK: Final = 0x6167_656E_7462_6C64  # one rebuild at a time in a database; any fixed number of our own does
_LOCK_WITHIN_S: Final = 10.0  # a killed rebuild's session ends a moment after it
_POLL_S: Final = 0.2
_CATCH_UP_WITHIN_S: Final = 600.0
_WORTH_A_BULK: Final = 10_000  # records; starting the processes anew takes a second
_BULKS_MAX: Final = 9  # after the first; each is shorter than the one before, unless more comes than can be filled
Report = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. `pause_s`: for how long writers stood still, None without a swap."""

    diff: Diff
    runs_taken_over: int
    pause_s: float | None


async def rebuild(
    plan: Plan, *, report: Report, progress: Progress, restart: bool = False, swap_equal: bool = True, accept: bool = False
) -> Outcome:
    """Build the shadow or go on with it; compare; swap if nothing differs, or if `accept` says that differences are meant.

    Raises RebuildError, LogOvertakenError, KafkaError and asyncpg's errors; the live store is as it was then.
    """
    async with _alone(plan) as connection, open_log(plan.bootstrap, plan.topic.name, plan.security) as log:
        if restart:
            await drop_shadow(connection, plan)
        state = await prepare(connection, plan, await log.reach())
        if not state.finished:
            report("filling")
            await _fill(connection, plan, state, log, progress)
            await finish(connection, plan, past=await _past(connection, plan, log), report=report)
            state = await prepare(connection, plan, await log.reach())
        with _fillers(plan, None) as fillers:
            report("catching up")
            await _caught_up(connection, plan, fillers, progress)
            report("comparing")
            diff = await compare(plan, log)
            pause_s = await _swapped(connection, plan, report) if swap_equal and (diff.empty or accept) else None
        return Outcome(diff, state.runs_taken_over, pause_s)


async def _swapped(connection: asyncpg.Connection, plan: Plan, report: Report) -> float | None:
    report("swapping")
    return await swap(connection, plan)


@asynccontextmanager
async def _alone(plan: Plan) -> AsyncIterator[asyncpg.Connection]:
    settings = {"application_name": APPLICATION, "timezone": "UTC", "jit": "off"}
    connection = await asyncpg.connect(plan.dsn, server_settings=settings)
    try:
        deadline = time.monotonic() + _LOCK_WITHIN_S
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            if time.monotonic() > deadline:
                raise RebuildError("another rebuild of this database is under way: wait for it, or end it")
            await asyncio.sleep(_POLL_S)
        yield connection
    finally:
        with suppress(Exception):  # it is going away either way, and with it the lock
            await connection.close()


@contextmanager
def _fillers(plan: Plan, targets: Mapping[int, int] | None) -> Iterator[list[SpawnProcess]]:
    spawning = multiprocessing.get_context("spawn")
    fillers = [spawning.Process(target=run_filler, args=(plan, number, targets), daemon=True) for number in range(plan.processes)]
    for one in fillers:
        one.start()
    try:
        yield fillers
    finally:
        for one in fillers:
            one.kill()  # all that it has done is committed, or undone
            one.join()


async def _fill(connection: asyncpg.Connection, plan: Plan, state: State, log: TopicLog, progress: Progress) -> None:
    """In bulk, and so again what came meanwhile, if that is much: following the log costs several times as much an event."""
    await _bulk(connection, plan, state, progress)
    for _ in range(_BULKS_MAX):
        further = await move_targets(connection, plan, state, await log.reach(), least_records=_WORTH_A_BULK)
        if further is None:
            return
        state = further
        await _bulk(connection, plan, state, progress)


async def _bulk(connection: asyncpg.Connection, plan: Plan, state: State, progress: Progress) -> None:
    total = sum(state.targets.values())
    with _fillers(plan, state.targets) as fillers:
        while any(one.is_alive() for one in fillers):
            _refuse_failed(fillers)
            progress("filling in bulk", await _covered(connection, plan, state.targets), total)
            await asyncio.sleep(_POLL_S)
        _refuse_failed(fillers)
    progress("filling in bulk", await _covered(connection, plan, state.targets), total)


def _refuse_failed(fillers: list[SpawnProcess]) -> None:
    if any(one.exitcode not in (None, 0) for one in fillers):
        raise RebuildError("a filling process failed, see its log line above; the shadow stays: run this again to go on")


async def _covered(connection: asyncpg.Connection, plan: Plan, targets: Mapping[int, int]) -> int:
    rows = await connection.fetch(plan.query("shadow_frontiers"), plan.topic.id)
    return sum(min(row["frontier"], targets.get(row["partition"], 0)) for row in rows)


async def _caught_up(connection: asyncpg.Connection, plan: Plan, fillers: list[SpawnProcess], progress: Progress) -> None:
    deadline = time.monotonic() + _CATCH_UP_WITHIN_S
    while not await connection.fetchval(plan.query("caught_up")):
        _refuse_failed(fillers)
        live = {row["partition"]: row["frontier"] for row in await connection.fetch(plan.query("live_frontiers"), plan.topic.id)}
        progress("catching up", await _covered(connection, plan, live), sum(live.values()))
        if time.monotonic() > deadline:
            raise RebuildError("the shadow does not catch up with the live store: give it more --processes, or a quieter hour")
        await asyncio.sleep(_POLL_S)


async def _past(connection: asyncpg.Connection, plan: Plan, log: TopicLog) -> Past:
    others = await connection.fetchval(plan.query("other_topics"), plan.topic.id)
    cut = {partition: reach for partition, reach in (await log.reach()).items() if reach.begin or others}
    firsts = [await _first_us(log, partition, reach) for partition, reach in cut.items()]
    said = [first_us for first_us in firsts if first_us is not None]
    return Past(max(said) + SKEW_US if said else None, silent=len(said) < len(firsts))


async def _first_us(log: TopicLog, partition: int, reach: Reach) -> int | None:
    async for piece in log.read({partition: reach}):
        for raw in piece.records:
            head = head_of(raw.value or b"")
            if head is not None:
                return head.received_at
    return None
