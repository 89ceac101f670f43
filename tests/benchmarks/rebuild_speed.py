"""How fast one filling process is beside one live worker, on the same topic, in turns; what each figure holds is said here.

A worker keeps indexes and rollups with every row, so its rate, from the first offset that is covered to the last, holds all of
it. A rebuild fills first (that rate is taken in the same way) and then finishes: takes over, adds up, indexes, gathers
statistics, until it begins to catch up. `events_per_s` and `ratio` are of both together, `fill_events_per_s` and `fill_ratio`
of the filling alone. The comparison, for which a worker has no counterpart, is in `compare_s` and nowhere else. How long either
needs to start is in none. CPU is of the processes and of their sessions in PostgreSQL, of the same stretches of time.
"""

import asyncio
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from ddl.migrate import SCHEMA
from tests.benchmarks.worker_load import EVENTS_A_RUN, encoded
from tests.support.drill import Operator
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack, until

_EVERY_S = 0.05
_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = ANY($1)"
_WRITERS = ["agenttracer-worker", "agenttracer-rebuild"]
_COVERED = "SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint FROM {}.ingest_ledger, unnest(covered) AS r"
Figures = dict[str, float]


def measure_speed(stack: Stack, folder: Path, *, events: int, rounds: int) -> dict[str, Any]:
    """Both in turns, one process each, over the same topic; medians, and the ratios of each round."""
    pipeline = Pipeline(stack)
    runs = events // EVENTS_A_RUN
    pipeline.produce_raw(encoded(runs, time.time_ns() // 1000 - 3_600_000_000))
    worker: list[Figures] = []
    rebuild: list[Figures] = []
    try:
        for _ in range(rounds):
            pipeline.database = pipeline.new_database()
            worker.append(_of_worker(pipeline, runs))
            rebuild.append(_of_rebuild(pipeline, folder, runs))
            print({"worker": _rounded(worker[-1]), "rebuild": _rounded(rebuild[-1])})
    finally:
        pipeline.close()
    return {"worker": _medians(worker), "rebuild": _medians(rebuild), **_ratios(worker, rebuild)}


def _of_worker(pipeline: Pipeline, runs: int) -> Figures:
    worker = pipeline.worker(group=pipeline.database, wait=False)
    assert worker.pid is not None
    with _meter(pipeline, SCHEMA, worker.pid) as look:
        first, last = _from_first_to_last(look, runs)
    worker.terminate()
    return _figures(first, last, last, runs)


def _of_rebuild(pipeline: Pipeline, folder: Path, runs: int) -> Figures:
    operator = Operator(pipeline, folder)
    command = operator.start("rebuild", "--no-swap")
    with _meter(pipeline, f"{SCHEMA}_shadow", command.pid) as look:
        first, filled = _from_first_to_last(look, runs)
        finished = _until(look, lambda _: "catching up" in operator.phases() or _ended(command))
    began = time.perf_counter()
    assert command.wait() == 0, operator.log()
    return {
        "fill_events_per_s": _rate(first, filled),
        "fill_cpu_us_per_event": (filled.cpu_s - first.cpu_s) / _events(first, filled) * 1e6,
        "finish_s": finished.at_s - filled.at_s,
        "finish_cpu_s": finished.cpu_s - filled.cpu_s,
        "compare_s": time.perf_counter() - began,
        **_figures(first, filled, finished, runs),
    }


class _Sample(NamedTuple):
    covered: int
    at_s: float
    it_s: float
    """CPU of the process and its children."""
    postgres_s: float
    """CPU of the sessions that write, of their parallel workers too."""

    @property
    def cpu_s(self) -> float:
        """Of both."""
        return self.it_s + self.postgres_s


_Look = Callable[[], _Sample]


@contextmanager
def _meter(pipeline: Pipeline, schema: str, pid: int) -> Iterator[_Look]:
    """Looks at a process and its sessions. What has ended since the last look counts as it was then."""
    ours: dict[int, float] = {}
    theirs: dict[int, float] = {}
    with asyncio.Runner() as runner:
        dsn = pipeline.stack.dsn(database=pipeline.database, role="agenttracer_owner")
        connection = runner.run(asyncpg.connect(dsn))

        def look() -> _Sample:
            sessions = [row["pid"] for row in runner.run(connection.fetch(_SESSIONS, _WRITERS))]
            try:
                covered = runner.run(connection.fetchval(_COVERED.format(schema)))
            except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
                covered = 0
            ours.update(_cpu_s(_tree(pid)))
            theirs.update(_cpu_s(sessions))
            return _Sample(covered, time.perf_counter(), sum(ours.values()), sum(theirs.values()))

        try:
            yield look
        finally:
            runner.run(connection.close())


def _from_first_to_last(look: _Look, runs: int) -> tuple[_Sample, _Sample]:
    first = _until(look, lambda one: one.covered > 0)
    return first, first if first.covered >= runs else _until(look, lambda one: one.covered >= runs)


def _until(look: _Look, right: Callable[[_Sample], bool]) -> _Sample:
    samples: list[_Sample] = []

    def found() -> bool:
        samples.append(look())
        return right(samples[-1])

    until(found, timeout_s=900, what="it has come so far", every_s=_EVERY_S)
    return samples[-1]


def _ended(command: subprocess.Popen[bytes]) -> bool:
    return command.poll() is not None


def _tree(pid: int) -> list[int]:
    found = [pid]
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _tree(int(child))
    return found


def _cpu_s(pids: list[int]) -> dict[int, float]:
    found = {}
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            found[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def _events(first: _Sample, last: _Sample) -> int:
    assert last.covered > first.covered, "all came in one batch: give it more --speed-events"
    return (last.covered - first.covered) * EVENTS_A_RUN


def _rate(first: _Sample, last: _Sample) -> float:
    return _events(first, last) / (last.at_s - first.at_s)


def _figures(first: _Sample, filled: _Sample, finished: _Sample, runs: int) -> Figures:
    """Of all the events, as if the first batch had been filled like the rest."""
    events, seen = runs * EVENTS_A_RUN, _events(first, filled)
    it = (filled.it_s - first.it_s) / seen + (finished.it_s - filled.it_s) / events
    postgres = (filled.postgres_s - first.postgres_s) / seen + (finished.postgres_s - filled.postgres_s) / events
    return {
        "events_per_s": events / (events / _rate(first, filled) + finished.at_s - filled.at_s),
        "cpu_us_per_event": (it + postgres) * 1e6,
        "cpu_us_per_event_of_it": it * 1e6,
        "cpu_us_per_event_of_postgres": postgres * 1e6,
    }


def _ratios(worker: list[Figures], rebuild: list[Figures]) -> dict[str, Any]:
    pairs = list(zip(worker, rebuild, strict=True))
    ratios = [theirs["events_per_s"] / ours["events_per_s"] for ours, theirs in pairs]
    return {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "fill_ratio": statistics.median(theirs["fill_events_per_s"] / ours["events_per_s"] for ours, theirs in pairs),
        "cpu_ratio": statistics.median(ours["cpu_us_per_event"] / theirs["cpu_us_per_event"] for ours, theirs in pairs),
    }


def _medians(many: list[Figures]) -> Figures:
    return {key: statistics.median(one[key] for one in many) for key in many[0]}


def _rounded(one: Figures) -> Figures:
    return {key: round(value, 2) for key, value in one.items()}
