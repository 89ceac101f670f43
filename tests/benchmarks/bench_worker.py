"""How fast one worker process empties a backlog, beside the ceiling: the same rows by the same SQL with nothing else running.

`make bench-worker`, or `python -m tests.benchmarks.bench_worker --events 1000000`. Writes build/bench-worker.json. Worker and
ceiling take turns on the same stack, each into an empty database; what counts is their ratio.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import httpx

from agenttracer.wire.envelope import VERSION, Producer, Record
from agenttracer.wire.events import Event, RunFinished, RunStarted, StepFinished
from agenttracer.wire.vocabulary import RunEnd, StepKind, StepStatus
from deploy.services import Service
from servicekit import codec
from stream_workers.batch import Batch, Received, Topic, make_batch
from stream_workers.decode import canonical_json
from stream_workers.postgres import PostgresStore
from tests.support.pipeline import PARTITIONS, Pipeline
from tests.support.stacks import new_stack

OUTPUT = Path(__file__).parents[2] / "build" / "bench-worker.json"
STEPS = 10
EVENTS_A_RUN = STEPS + 2
BATCH_ROWS = 16_000
_NAMES = ("choose_tools", "search_kb", "lookup_order", "issue_refund", "write_answer")


def run_record(number: int, base_us: int) -> Record:
    """A run of ten steps with two metadata entries each, as the gateway writes it."""
    began = base_us + number * 37
    run_id = str(uuid.UUID(int=(began // 1000 << 80) | (7 << 76) | (2 << 62) | number))  # a UUIDv7, as the SDK makes them
    steps = [
        StepFinished(
            run_id=run_id,
            seq=seq + 1,
            step_id=f"{number * STEPS + seq + 1:016x}",
            kind=tuple(StepKind)[seq % 5],
            name=_NAMES[seq % 5],
            started_at=began + seq * 1_000,
            duration_us=500 + (number * 7919 + seq * 104_729) % 900_000,
            status=StepStatus.OK,
            metadata={"model": "gpt-4o", "input_tokens": 800 + seq},
        )
        for seq in range(STEPS)
    ]
    end = began + STEPS * 1_000
    events: list[Event] = [
        RunStarted(run_id=run_id, seq=0, started_at=began),
        *steps,
        RunFinished(run_id=run_id, seq=STEPS + 1, ended_at=end, status=RunEnd.SUCCESS, emitted=EVENTS_A_RUN),
    ]
    producer = Producer(id="bench", agent="support-agent", agent_version="1.4.0")
    return Record(v=VERSION, project="default", producer=producer, received_at=end, events=events)


def batches(records: Sequence[Record]) -> list[Batch]:
    """What the worker would write, made beforehand."""
    size = BATCH_ROWS // EVENTS_A_RUN
    found = []
    for start in range(0, len(records), size):
        part = records[start : start + size]
        received = [Received(0, start + i, 0, None, record, None) for i, record in enumerate(part)]
        found.append(make_batch(received, canonical_json))
    return found


def measure_ceiling(pipeline: Pipeline, prepared: Sequence[Batch], events: int) -> float:
    """Events/s of the same SQL in a loop."""
    dsn = pipeline.stack.dsn(database=pipeline.new_database(), role="agenttracer_worker")

    async def write() -> float:
        store = PostgresStore(dsn, transaction_timeout_s=120)
        topic = Topic("bench", uuid.uuid4())
        await store.frontiers(topic, [0])  # connected before the clock runs
        began = time.perf_counter()
        for batch in prepared:
            await store.save(topic, batch)
        took = time.perf_counter() - began
        await store.close()
        return events / took

    return asyncio.run(write())


def measure_worker(pipeline: Pipeline, records: int, events: int) -> dict[str, float]:
    """Events/s of one worker process over the whole topic into an empty database, and its CPU."""
    database = pipeline.new_database()
    worker = pipeline.worker(database=database, group=database)
    while not pipeline.covered(database=database):
        time.sleep(0.01)
    first, began = pipeline.covered(database=database), time.perf_counter()
    before = cpu_s_by_stage(worker)
    pipeline.wait_covered(records, timeout_s=900, database=database)
    took = time.perf_counter() - began
    after = cpu_s_by_stage(worker)
    counted = events * (records - first) / records
    worker.terminate()
    return {
        "events_per_s": counted / took,
        **{f"cpu_us_per_event_{stage}": (after[stage] - before.get(stage, 0)) / counted * 1e6 for stage in after},
    }


def cpu_s_by_stage(worker: Service) -> dict[str, float]:
    """CPU seconds of the worker so far: as it says itself, the rest of its main thread (write), all others (fetch)."""
    said = stage_seconds(worker.url)
    total, main = thread_cpu_s(Path(f"/proc/{worker.pid}")), thread_cpu_s(Path(f"/proc/{worker.pid}/task/{worker.pid}"))
    return {**said, "write": main - sum(said.values()), "fetch": total - main, "total": total}


def thread_cpu_s(folder: Path) -> float:
    """CPU seconds, user and system, of a process or one of its threads."""
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stage_seconds(url: str) -> dict[str, float]:
    """CPU seconds that the worker says its stages took."""
    found = {}
    for line in httpx.get(f"{url}/metrics", timeout=10).text.splitlines():
        if line.startswith("agenttracer_worker_stage_cpu_seconds_total{"):
            stage = line.partition('stage="')[2].partition('"')[0]
            found[stage] = float(line.rpartition(" ")[2])
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)

    options = parser.parse_args()
    runs = -(-options.events // EVENTS_A_RUN)
    base_us = time.time_ns() // 1000 - 3_600_000_000
    records = [run_record(number, base_us) for number in range(runs)]
    events = runs * EVENTS_A_RUN
    stack = new_stack()
    try:
        pipeline = Pipeline(stack)
        pipeline.produce(records)
        print(f"{events} events in {len(records)} records over {PARTITIONS} partitions")
        prepared = batches([codec.read_record(codec.encode_record(record))[0] for record in records])
        del records
        ceilings, workers = [], []
        for number in range(options.rounds):
            ceilings.append(measure_ceiling(pipeline, prepared, events))
            workers.append(measure_worker(pipeline, runs, events))
            print(f"round {number + 1}: ceiling {ceilings[-1]:,.0f} events/s, worker {workers[-1]['events_per_s']:,.0f} events/s")
        report(ceilings, workers, events)
        pipeline.close()
    finally:
        stack.stop()


def report(ceilings: list[float], workers: list[dict[str, float]], events: int) -> None:
    """Medians to the terminal and to build/bench-worker.json."""
    ratios = [worker["events_per_s"] / ceiling for worker, ceiling in zip(workers, ceilings, strict=True)]
    figures = {
        "events": events,
        "cores": os.cpu_count(),
        "ceiling_events_per_s": statistics.median(ceilings),
        "worker": {name: statistics.median(one[name] for one in workers) for name in workers[0]},
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
