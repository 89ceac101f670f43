"""The rebuild under fire, in full: a million events, a thousand a second arriving, readers hammering, ten kills, then the swap.

`make rebuild-drill`, or `python -m tests.benchmarks.rebuild_drill --events 1000000`. Before that it measures how fast one
filling process is beside one live worker, on the same topic, in turns. Writes build/rebuild-drill.json; exit code 1 when a
promise was broken.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ddl.migrate import SCHEMA
from tests.benchmarks.worker_load import EVENTS_A_RUN, encoded
from tests.support.drill import LiveTraffic, Operator, Readers, kill_rebuilds
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack, new_stack, until
from tests.support.traffic import Traffic

OUTPUT = Path(__file__).parents[2] / "build" / "rebuild-drill.json"
PAUSE_MAX_S = 1.0


def measure_speed(stack: Stack, folder: Path, *, events: int, rounds: int) -> dict[str, Any]:
    """Live worker and filling process in turns, one process each, over the same topic; events/s and CPU of both sides."""
    pipeline = Pipeline(stack)
    base_us = time.time_ns() // 1000 - 3_600_000_000
    runs = events // EVENTS_A_RUN
    pipeline.produce_raw(encoded(runs, base_us))
    found: dict[str, list[dict[str, float]]] = {"worker": [], "rebuild": []}
    try:
        for _ in range(rounds):
            pipeline.database = pipeline.new_database()
            worker = pipeline.worker(group=pipeline.database, wait=False)
            assert worker.pid is not None
            found["worker"].append(measure(pipeline, SCHEMA, runs, pid=worker.pid))
            worker.terminate()
            command = Operator(pipeline, folder).start("rebuild", "--no-swap")
            found["rebuild"].append(measure(pipeline, f"{SCHEMA}_shadow", runs, pid=command.pid))
            began = time.perf_counter()
            command.wait()
            found["rebuild"][-1]["finish_and_compare_s"] = time.perf_counter() - began
            print({name: {key: round(value, 1) for key, value in many[-1].items()} for name, many in found.items()})
    finally:
        pipeline.close()
    ratios = [b["events_per_s"] / a["events_per_s"] for a, b in zip(found["worker"], found["rebuild"], strict=True)]
    cpu = [a["cpu_us_per_event"] / b["cpu_us_per_event"] for a, b in zip(found["worker"], found["rebuild"], strict=True)]
    medians = {name: {key: statistics.median(one[key] for one in many) for key in many[0]} for name, many in found.items()}
    return {
        **medians,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "cpu_ratio": statistics.median(cpu),
        "cpu_ratios": cpu,
    }


def measure(pipeline: Pipeline, schema: str, runs: int, *, pid: int) -> dict[str, float]:
    """From the first offset that a schema covers to the last that was seen while both sides lived."""
    until(lambda: covered(pipeline, schema) > 0, timeout_s=120, what="something is covered", every_s=0.02)
    samples = [_sample(pipeline, schema, pid)]

    def done() -> bool:
        with suppress(FileNotFoundError):  # the filling process has ended, and its session with it
            samples.append(_sample(pipeline, schema, pid))
        return covered(pipeline, schema) >= runs

    until(done, timeout_s=900, what="all is covered")
    first, last = samples[0], max(samples, key=lambda one: one.covered)
    events = (last.covered - first.covered) * EVENTS_A_RUN
    it, postgres = (last.it_s - first.it_s) / events * 1e6, (last.postgres_s - first.postgres_s) / events * 1e6
    return {
        "events_per_s": events / (last.at_s - first.at_s),
        "cpu_us_per_event": it + postgres,
        "cpu_us_per_event_of_it": it,
        "cpu_us_per_event_of_postgres": postgres,
    }


class _Sample(NamedTuple):
    covered: int
    at_s: float
    it_s: float
    """CPU of the process and its children."""
    postgres_s: float
    """CPU of the sessions that write."""


def _sample(pipeline: Pipeline, schema: str, pid: int) -> _Sample:
    sessions = pipeline.sql(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = ANY($1)",
        ["agenttracer-worker", "agenttracer-rebuild"],
    )
    count = covered(pipeline, schema)
    postgres_s = sum(_cpu_s(row["pid"]) for row in sessions)
    if not sessions:
        raise FileNotFoundError
    return _Sample(count, time.perf_counter(), _tree_s(pid), postgres_s)


def covered(pipeline: Pipeline, schema: str) -> int:
    """Offsets that a schema's ledger covers; 0 while there is none."""
    if pipeline.sql("SELECT to_regclass($1) IS NULL AS missing", f"{schema}.ingest_ledger")[0]["missing"]:
        return 0
    query = f"SELECT coalesce(sum(upper(r) - lower(r)), 0)::bigint AS n FROM {schema}.ingest_ledger, unnest(covered) AS r"
    return int(pipeline.sql(query)[0]["n"])


def _tree_s(pid: int) -> float:
    children = [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    return _cpu_s(pid) + sum(_tree_s(int(child)) for child in children)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drill(stack: Stack, folder: Path, *, events: int, events_per_s: int, kills: int, processes: int) -> dict[str, Any]:
    """Everything at once; what came of it."""
    pipeline, traffic = Pipeline(stack), Traffic(51)
    produced = produced_events = 0
    while produced_events < events:
        records = traffic.mischief(traffic.records(traffic.runs(5_000)))
        pipeline.produce(records)
        produced += len(records)
        produced_events += sum(len(record.events) for record in records)
    print(f"{produced_events} events in {produced} records")
    try:
        pipeline.worker()
        query, operator = pipeline.query(), Operator(pipeline, folder)
        pipeline.wait_covered(produced, timeout_s=1800)
        options = ("--processes", str(processes))
        with (
            Readers(pipeline, url=query.url) as readers,
            LiveTraffic(pipeline, events_per_s=events_per_s, seed=52) as live,
        ):
            began = time.perf_counter()
            killed = kill_rebuilds(pipeline, operator, kills=kills, seed=53, options=options)
            code, outcome = operator.call("rebuild", *options)
            took = time.perf_counter() - began
        pipeline.wait_covered(produced + live.records, timeout_s=600)
        pipeline.assert_store_is_fold()
        verified, report = operator.call("verify")
        return {
            "events": produced_events,
            "events_arriving_per_s": live.events / took,
            "killed": killed,
            "exit_code": code,
            "runs_compared": outcome["diff"]["runs_compared"],
            "runs_differing": outcome["diff"]["runs_differing"],
            "swap_pause_s": outcome["pause_s"],
            "took_s": took,
            "reader_answers": readers.answers,
            "reader_errors": readers.errors,
            "reader_slowest_s": readers.slowest_s,
            "verify_exit_code": verified,
            "verify_rows": report["rows_compared"],
        }
    finally:
        print(Operator(pipeline, folder).log()[-3000:])
        pipeline.close()


def kept(found: dict[str, Any]) -> bool:
    """Whether every promise of a rebuild was kept."""
    right = found["exit_code"] == found["runs_differing"] == found["verify_exit_code"] == 0
    return right and not found["reader_errors"] and found["swap_pause_s"] is not None and found["swap_pause_s"] < PAUSE_MAX_S


def main() -> int:
    """Measure, drill, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--events-per-s", type=int, default=1_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--speed-events", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    stack = new_stack()
    found: dict[str, Any] = {"cores": os.cpu_count()}
    try:
        with tempfile.TemporaryDirectory() as folder:
            if options.rounds:
                found["speed"] = measure_speed(stack, Path(folder), events=options.speed_events, rounds=options.rounds)
            if options.kills:
                found["drill"] = drill(
                    stack,
                    Path(folder),
                    events=options.events,
                    events_per_s=options.events_per_s,
                    kills=options.kills,
                    processes=options.processes,
                )
    finally:
        stack.stop()
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))
    return 0 if "drill" not in found or kept(found["drill"]) else 1


if __name__ == "__main__":
    sys.exit(main())
