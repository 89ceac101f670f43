"""How fast one worker empties a backlog, and two; beside it the ceiling: the same rows by the same SQL and nothing else.

Worker and ceiling take turns on the same stack, each into an empty database; what counts is their ratio. Two workers share
the partitions of one group; their clock runs from the moment when both have begun to read.
"""

import asyncio
import os
import statistics
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from stream_workers.store.batch import Topic, WriteBatch
from stream_workers.store.postgres import PostgresStore
from tests.benchmarks.verdict import Target, at_least
from tests.benchmarks.worker_load import EVENTS_A_RUN, batches, decoded, encoded
from tests.benchmarks.worker_process import cpu_s, cpu_s_by_stage, events_read, others, pid_of
from tests.support.pipeline import PARTITIONS, Pipeline
from tests.support.stacks import Stack, until

RATIO_MIN: Final = 0.6
SPEEDUP_MIN: Final = 1.5
BACKLOG_MIN_EVENTS: Final = 1_000_000
CORES_MIN: Final = 4  # two workers, PostgreSQL and Kafka
Figures = dict[str, float]


def targets(found: Mapping[str, Any]) -> list[Target]:
    """What was measured beside what is wanted."""
    speedup, cores = found["two_workers"]["speedup"], found["two_workers"]["cores"]
    return [
        at_least(
            "ratio",
            found["ratio"],
            RATIO_MIN,
            judged=found["events"] >= BACKLOG_MIN_EVENTS,
            note=f"{found['worker']['events_per_s']:,.0f} of {found['ceiling_events_per_s']:,.0f} events/s",
        ),
        at_least("two workers' speedup", speedup, SPEEDUP_MIN, judged=cores >= CORES_MIN, note=f"{cores} cores"),
    ]


def measure(stack: Stack, *, events: int, rounds: int) -> dict[str, object]:
    """All rounds, and their medians."""
    load = others()
    runs = -(-events // EVENTS_A_RUN)
    base_us = time.time_ns() // 1000 - 3_600_000_000
    pipeline = Pipeline(stack)
    try:
        pipeline.produce_raw(encoded(runs, base_us))
        prepared = batches(decoded(runs, base_us))
        ceilings, ones, twos = [], [], []
        for number in range(rounds):
            ceilings.append(ceiling(pipeline, prepared, runs * EVENTS_A_RUN))
            ones.append(one_worker(pipeline, runs))
            twos.append(two_workers(pipeline, runs))
            print(
                f"round {number + 1}: ceiling {ceilings[-1]:,.0f} events/s, worker {ones[-1]['events_per_s']:,.0f}, "
                f"two {twos[-1]['events_per_s']:,.0f}",
                flush=True,
            )
    finally:
        pipeline.close()
    return {"events": runs * EVENTS_A_RUN, "partitions": PARTITIONS, "others_before": load._asdict()} | summary(
        ceilings, ones, twos
    )


def summary(ceilings: Sequence[float], ones: Sequence[Figures], twos: Sequence[Figures]) -> dict[str, object]:
    """Medians of the rounds and of the rounds' ratios."""
    ratios = [one["events_per_s"] / top for one, top in zip(ones, ceilings, strict=True)]
    speedups = [two["events_per_s"] / one["events_per_s"] for one, two in zip(ones, twos, strict=True)]
    return {
        "ceiling_events_per_s": statistics.median(ceilings),
        "worker": medians(ones),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "two_workers": medians(twos) | {"speedup": statistics.median(speedups), "cores": os.cpu_count()},
        "two_workers_speedups": speedups,
    }


def medians(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure."""
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def ceiling(pipeline: Pipeline, prepared: Sequence[WriteBatch], events: int) -> float:
    """Events/s of the same SQL in a loop."""
    database = pipeline.new_database()
    began = time.perf_counter()
    waited = write_prepared(pipeline, database, prepared)
    return events / (time.perf_counter() - began - waited)


def write_prepared(pipeline: Pipeline, database: str, prepared: Sequence[WriteBatch]) -> float:
    """Write batches by the worker's store; answers the seconds before the first, which went by with connecting."""
    dsn = pipeline.stack.dsn(database=database, role="agenttracer_worker")

    async def write() -> float:
        began = time.perf_counter()
        store = PostgresStore(dsn, transaction_timeout_s=120)
        topic = Topic("bench", uuid.uuid4())
        await store.frontiers(topic, [0])
        connected = time.perf_counter() - began
        for batch in prepared:
            await store.save(topic, batch)
        await store.close()
        return connected

    return asyncio.run(write())


def one_worker(pipeline: Pipeline, records: int) -> Figures:
    """Events/s of one worker process over the whole topic into an empty database, and its CPU."""
    database = pipeline.new_database()
    worker = pipeline.worker(database=database, group=database)
    while not (first := pipeline.covered(database=database)):
        time.sleep(0.01)
    began, before = time.perf_counter(), cpu_s_by_stage(worker)
    pipeline.wait_covered(records, timeout_s=900, database=database)
    took, after = time.perf_counter() - began, cpu_s_by_stage(worker)
    counted = (records - first) * EVENTS_A_RUN
    worker.terminate()
    stages = {f"cpu_us_per_event_{stage}": (after[stage] - before.get(stage, 0)) / counted * 1e6 for stage in after}
    return {"events_per_s": counted / took, "events_per_cpu_s": counted / (after["total"] - before["total"]), **stages}


def two_workers(pipeline: Pipeline, records: int) -> Figures:
    """The same of two workers of one group, from when both read."""
    database = pipeline.new_database()
    workers = [pipeline.worker(number, database=database, group=database, wait=False) for number in (1, 2)]
    until(lambda: all(events_read(worker) > 0 for worker in workers), timeout_s=120, what="both workers read")
    first, began = pipeline.covered(database=database), time.perf_counter()
    pids = [pid_of(worker) for worker in workers]
    before = sum(map(cpu_s, pids))
    pipeline.wait_covered(records, timeout_s=900, database=database)
    took, used_s = time.perf_counter() - began, sum(map(cpu_s, pids)) - before
    counted = (records - first) * EVENTS_A_RUN
    for worker in workers:
        worker.terminate()
    return {"events_per_s": counted / took, "events_per_cpu_s": counted / used_s, "share_measured": (records - first) / records}
