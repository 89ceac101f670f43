"""The measuring code of the long benchmarks on loads of some seconds, so that none is found broken only when it is needed."""

import asyncio
import time

from tests.benchmarks import bench_gateway, worker_freshness, worker_rate, worker_scale
from tests.benchmarks.worker_load import EVENTS_A_RUN, batches, decoded
from tests.benchmarks.worker_process import cpu_s_by_stage, transactions
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack

_RUNS = 500
_EVENTS = _RUNS * EVENTS_A_RUN


def test_the_ceiling_and_a_workers_memory(stack: Stack) -> None:
    """The same runs, already decoded, by the worker's SQL in a loop; and by a worker whose memory is sampled meanwhile."""
    base_us = time.time_ns() // 1000 - 3_600_000_000
    pipeline = Pipeline(stack)
    try:
        assert worker_rate.ceiling(pipeline, batches(decoded(_RUNS, base_us)), _EVENTS) > 0
        samples = worker_scale._Bench(pipeline).fill(_EVENTS, base_us)
    finally:
        pipeline.close()
    assert samples[-1].events == _EVENTS
    assert all(one.rss_bytes > 10 * 2**20 for one in samples)


def test_a_line_through_memory() -> None:
    """Two MiB more with every million of events are found as that, whatever the noise."""
    samples = [worker_scale.Sample(number * 1_000_000, 2**27 + number * 2**21 + number % 2) for number in range(20)]
    found = worker_scale.flatness(samples)
    assert abs(found["bytes_per_million_events"] - 2**21) < 1
    assert found["samples"] == 16


def test_freshness_and_what_a_worker_says_of_itself(stack: Stack) -> None:
    """Single runs are seen in the query API, and how long that takes; CPU by stage and transactions are told."""
    pipeline = Pipeline(stack)
    try:
        bench = worker_freshness._Bench(pipeline)
        seen = asyncio.run(bench.prober(0.1).run(5))
        stages, done = cpu_s_by_stage(bench.worker), transactions(bench.worker).done
    finally:
        pipeline.close()
    assert len(seen) == 5
    assert all(0 < one.visible_s < 60 for one in seen)
    assert {"decode", "assemble", "write", "fetch", "total"} <= stages.keys()
    assert done > 0


def test_the_gateway_and_its_ceiling(stack: Stack) -> None:
    """Both ways in, one round, beside a bare producer."""
    for way in bench_gateway.WAYS:
        found = bench_gateway.measure_ratio(stack, way, agents=10, runs=50, rounds=1)
        assert found["ratio"] == found["ratios"][0] > 0
        assert found["events_a_round"] >= bench_gateway.BATCH_EVENTS, "requests are whole"
