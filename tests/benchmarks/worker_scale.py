"""Does an event cost more when much is stored, and does the worker's memory grow: a large store beside a small one.

The large store is filled by one worker from a backlog, and its memory is sampled meanwhile. Then rounds: a new block of runs in a
topic of its own, drained by a fresh worker process into the large store and by another one into a fresh small store that was
given its rows before. Blocks, batches and processes are alike; only what is stored differs. Large and small take turns in going
first.
"""

import asyncio
import math
import statistics
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from agenttracer_cli.admin.topics import ensure_topic
from tests.benchmarks.verdict import Target, at_most
from tests.benchmarks.worker_load import EVENTS_A_RUN, batches, decoded, encoded
from tests.benchmarks.worker_process import backend_pid, cpu_s, others, pid_of, rss_bytes
from tests.benchmarks.worker_rate import Figures, medians, write_prepared
from tests.support.pipeline import PARTITIONS, Pipeline
from tests.support.stacks import Stack

SMALL_EVENTS: Final = 100_000
BLOCK_EVENTS: Final = 300_000
CPU_RATIO_MAX: Final = 1.15
STORED_MIN_EVENTS: Final = 10_000_000
GROWTH_MAX_BYTES: Final = 2**20  # per million events: a slope below this, or within two standard errors of 0, is flat
_SAMPLE_S: Final = 0.5
_HOUR_US: Final = 3_600_000_000


class Sample(NamedTuple):
    """Events stored so far and resident memory."""

    events: int
    rss_bytes: int


def targets(found: Mapping[str, Any]) -> list[Target]:
    """What was measured beside what is wanted."""
    memory, stored = found["memory"], found["stored_events"]
    slope, error = memory["bytes_per_million_events"], memory["standard_error"]
    note = f"{memory['first_third_mib']} MiB, then {memory['last_third_mib']}; standard error {error / 2**20:.2f}"
    flat = slope < GROWTH_MAX_BYTES or abs(slope) <= 2 * error
    return [
        at_most("cpu_ratio", found["cpu_ratio"], CPU_RATIO_MAX, judged=stored >= STORED_MIN_EVENTS, note=f"{stored:,} stored"),
        Target("growth in MiB per million", "flat", slope / 2**20, flat, note),
    ]


def measure(stack: Stack, *, stored: int, rounds: int) -> dict[str, object]:
    """Fill, then compare."""
    load = others()
    pipeline = Pipeline(stack)
    began_us = time.time_ns() // 1000 - 6 * _HOUR_US
    try:
        bench = _Bench(pipeline)
        samples = bench.fill(stored, began_us)
        memory = flatness(samples)
        print(f"memory: {memory}", flush=True)
        small = batches(decoded(SMALL_EVENTS // EVENTS_A_RUN, began_us))
        larges: list[Figures] = []
        smalls: list[Figures] = []
        for number in range(rounds):
            bench.new_block(began_us + (number + 1) * _HOUR_US // 2 + _HOUR_US)
            store = pipeline.new_database()
            write_prepared(pipeline, store, small)
            for database in (bench.large, store) if number % 2 else (store, bench.large):
                (larges if database == bench.large else smalls).append(bench.drain(database))
            print(f"round {number + 1}: large {_short(larges[-1])}, small {_short(smalls[-1])}", flush=True)
    finally:
        pipeline.close()
    pairs = list(zip(larges, smalls, strict=True))
    ratios = {f"{name}_ratio": statistics.median(large[name] / small[name] for large, small in pairs) for name in larges[0]}
    return {
        "others_before": load._asdict(),
        "stored_events": stored,
        "small_stored_events": SMALL_EVENTS,
        "block_events": BLOCK_EVENTS,
        "large": medians(larges),
        "small": medians(smalls),
        "cpu_ratio": ratios["cpu_us_per_event_ratio"],
        "cpu_ratios": [large["cpu_us_per_event"] / small["cpu_us_per_event"] for large, small in pairs],
        **ratios,
        "memory": memory,
    }


def _short(figures: Figures) -> str:
    return f"{figures['cpu_us_per_event']:.2f} us CPU, {figures['wall_us_per_event']:.2f} us wall"


class _Bench:
    """The large store, and the topic that is being drained."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.large = pipeline.database
        self._records = 0

    def fill(self, events: int, base_us: int) -> list[Sample]:
        """Fill the large store by one worker; its memory meanwhile."""
        self._produce(events, base_us)
        worker = self.pipeline.worker(group=self.pipeline.topic)
        pid, samples, covered = pid_of(worker), [], 0
        began = time.monotonic()
        while covered < self._records:
            assert time.monotonic() - began < 3600, "not drained within an hour"
            time.sleep(_SAMPLE_S)  # the sampling interval
            covered = self.pipeline.covered()
            samples.append(Sample(covered * EVENTS_A_RUN, rss_bytes(pid)))
        worker.terminate()
        print(f"{covered * EVENTS_A_RUN:,} events stored in {time.monotonic() - began:.0f} s", flush=True)
        return samples

    def new_block(self, base_us: int) -> None:
        """A new topic with a block of runs that no store has."""
        self.pipeline.topic = f"bench-{uuid.uuid4().hex[:8]}"
        bootstrap = self.pipeline.stack.bootstrap
        asyncio.run(ensure_topic(bootstrap, name=self.pipeline.topic, partitions=PARTITIONS, replication_factor=1))
        self._produce(BLOCK_EVENTS, base_us)

    def drain(self, database: str) -> Figures:
        """What one worker process spends on the block: its CPU, its backend's, and wall time, from the first COMMIT seen."""
        already = self.pipeline.covered(database=database)
        worker = self.pipeline.worker(database=database, group=f"{self.pipeline.topic}-{database}")
        while (first := self.pipeline.covered(database=database) - already) <= 0:
            time.sleep(0.01)
        pids = {"worker": pid_of(worker), "backend": backend_pid(self.pipeline, database)}
        began, before = time.perf_counter(), {name: cpu_s(pid) for name, pid in pids.items()}
        self.pipeline.wait_covered(already + self._records, timeout_s=900, database=database)
        took = time.perf_counter() - began
        counted = (self._records - first) * EVENTS_A_RUN
        used = {f"{name}_cpu_us_per_event": (cpu_s(pid) - before[name]) / counted * 1e6 for name, pid in pids.items()}
        worker.terminate()
        return {**used, "cpu_us_per_event": sum(used.values()), "wall_us_per_event": took / counted * 1e6}

    def _produce(self, events: int, base_us: int) -> None:
        self._records = -(-events // EVENTS_A_RUN)
        self.pipeline.produce_raw(encoded(self._records, base_us))


def flatness(samples: Sequence[Sample]) -> dict[str, float]:
    """A line through memory over events, the first fifth left out as warm-up; the noise is the slope's standard error."""
    steady = samples[len(samples) // 5 :]
    events = [one.events / 1e6 for one in steady]
    rss = [float(one.rss_bytes) for one in steady]
    slope, at_zero = statistics.linear_regression(events, rss)
    residual = sum((y - at_zero - slope * x) ** 2 for x, y in zip(events, rss, strict=True))
    spread = sum((x - statistics.fmean(events)) ** 2 for x in events)
    error = math.sqrt(residual / (len(steady) - 2) / spread)
    third = len(rss) // 3
    return {
        "bytes_per_million_events": round(slope),
        "standard_error": round(error),
        "first_third_mib": round(statistics.median(rss[:third]) / 2**20, 1),
        "last_third_mib": round(statistics.median(rss[-third:]) / 2**20, 1),
        "max_mib": round(max(rss) / 2**20, 1),
        "samples": len(steady),
    }
