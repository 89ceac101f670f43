"""A rebuild from start to end. When it is killed, the next call goes on: the shadow schema alone tells what is done.

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

from servicekit.postgres import connect
from stream_workers.errors import RebuildError
from stream_workers.kafka.topic_log import LogRange, TopicLog, open_log
from stream_workers.operations.rebuild.diff import Diff, compare
from stream_workers.operations.rebuild.fill import run_filler
from stream_workers.operations.rebuild.plan import APPLICATION, Plan
from stream_workers.operations.rebuild.shadow_schema import LogCutoff, RebuildState, drop_shadow, finish, move_targets, prepare
from stream_workers.operations.rebuild.swap import swap
from stream_workers.operations.verify.verify import SKEW_US, head_of

_LOCK: Final = 0x6167_656E_7462_6C64  # one rebuild at a time in a database; any fixed number of our own does
_LOCK_WITHIN_S: Final = 10.0  # a killed rebuild's session ends a moment after it
_POLL_S: Final = 0.2
_CATCH_UP_WITHIN_S: Final = 600.0
_WORTH_A_BULK: Final = 10_000  # records; starting the processes again takes a second
_BULKS_MAX: Final = 9  # after the first; each is shorter than the one before, unless more comes than can be filled
Report = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class RebuildResult:
    """The result. `pause_s`: for how long writers stood still, None without a swap."""

    diff: Diff
    runs_taken_over: int
    pause_s: float | None


async def rebuild(
    plan: Plan, *, report: Report, progress: Progress, restart: bool = False, swap_equal: bool = True, accept: bool = False
) -> RebuildResult:
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
        return RebuildResult(diff, state.runs_taken_over, pause_s)


async def _swapped(connection: asyncpg.Connection, plan: Plan, report: Report) -> float | None:
    report("swapping")
    return await swap(connection, plan)


@asynccontextmanager
async def _alone(plan: Plan) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(plan.dsn, application_name=APPLICATION)
    try:
        deadline = time.monotonic() + _LOCK_WITHIN_S
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            if time.monotonic() > deadline:
                raise RebuildError("another rebuild of this database is under way: wait for it, or end it")
            await asyncio.sleep(_POLL_S)
        yield connection
    finally:
        with suppress(Exception):  # the session ends either way, and with it the lock
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
            one.kill()  # its transactions are committed, or undone by the server
            one.join()


async def _fill(connection: asyncpg.Connection, plan: Plan, state: RebuildState, log: TopicLog, progress: Progress) -> None:
    """Fill in bulk, and again for records that came meanwhile if they are many: following costs several times more."""
    await _bulk(connection, plan, state, progress)
    for _ in range(_BULKS_MAX):
        further = await move_targets(connection, plan, state, await log.reach(), least_records=_WORTH_A_BULK)
        if further is None:
            return
        state = further
        await _bulk(connection, plan, state, progress)


async def _bulk(connection: asyncpg.Connection, plan: Plan, state: RebuildState, progress: Progress) -> None:
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
    rows = await connection.fetch(*plan.statement("shadow_frontiers").bind(topic_id=plan.topic.id))
    return sum(min(row["frontier"], targets.get(row["partition"], 0)) for row in rows)


async def _caught_up(connection: asyncpg.Connection, plan: Plan, fillers: list[SpawnProcess], progress: Progress) -> None:
    deadline = time.monotonic() + _CATCH_UP_WITHIN_S
    while not await connection.fetchval(*plan.statement("caught_up").bind()):
        _refuse_failed(fillers)
        rows = await connection.fetch(*plan.statement("live_frontiers").bind(topic_id=plan.topic.id))
        live = {row["partition"]: row["frontier"] for row in rows}
        progress("catching up", await _covered(connection, plan, live), sum(live.values()))
        if time.monotonic() > deadline:
            raise RebuildError("the shadow does not catch up with the live store: give it more --processes, or a quieter hour")
        await asyncio.sleep(_POLL_S)


async def _past(connection: asyncpg.Connection, plan: Plan, log: TopicLog) -> LogCutoff:
    others = await connection.fetchval(*plan.statement("other_topics").bind(topic_id=plan.topic.id))
    cut = {partition: reach for partition, reach in (await log.reach()).items() if reach.begin or others}
    firsts = [await _first_us(log, partition, reach) for partition, reach in cut.items()]
    said = [first_us for first_us in firsts if first_us is not None]
    return LogCutoff(max(said) + SKEW_US if said else None, silent=len(said) < len(firsts))


async def _first_us(log: TopicLog, partition: int, reach: LogRange) -> int | None:
    async for piece in log.read({partition: reach}):
        for raw in piece.records:
            head = head_of(raw.value or b"")
            if head is not None:
                return head.received_at
    return None
