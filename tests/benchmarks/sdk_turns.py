"""The single turns of `bench_sdk`, each in a process of its own; one line of JSON says what was measured."""

import asyncio
import json
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

STEPS = 10
RUNS = 1_500
WARM_UP_RUNS = 200
CONCURRENT = 1_000


def _timed(one_run: Callable[[], None], calls: Callable[[], list[int]]) -> dict[str, float]:
    for _ in range(WARM_UP_RUNS):
        one_run()
    began = time.thread_time_ns()
    for _ in range(RUNS):
        one_run()
    cpu_us = (time.thread_time_ns() - began) / 1_000 / (RUNS * STEPS)
    taken = sorted(calls())
    return {
        "cpu_us_per_step": cpu_us,
        "call_p50_us": taken[len(taken) // 2] / 1_000,
        "call_p99_us": taken[len(taken) * 99 // 100] / 1_000,
    }


def ours(url: str) -> dict[str, float]:
    """A run of ten steps, sent to `url` while it is measured."""
    from agenttracer import AgentTracer

    tracer = AgentTracer(agent_id="agent", agent_version="1", api_url=url, queue_max_events=1_000_000, queue_max_bytes=2**32)

    def one_run() -> None:
        with tracer.start_run() as run:
            for _ in range(STEPS):
                with run.step("tool", "search_kb") as step:
                    step.add_metadata({"result_count": 3, "cached": True})

    def calls() -> list[int]:
        taken: list[int] = []
        clock = time.perf_counter_ns
        for _ in range(RUNS):
            with tracer.start_run() as run:
                for _ in range(STEPS):
                    began = clock()
                    step = run.step("tool", "search_kb")
                    step.__enter__()
                    entered = clock()
                    step.add_metadata({"result_count": 3, "cached": True})
                    added = clock()
                    step.__exit__(None, None, None)
                    taken += (entered - began, added - entered, clock() - added)
        return taken

    figures = _timed(one_run, calls)
    assert tracer.shutdown(60).complete
    assert not tracer.stats().dropped
    return figures


def opentelemetry(url: str | None = None) -> dict[str, float]:
    """A root span with ten children, exported by a BatchSpanProcessor of default settings, but with room for all.

    With `url` by the OTLP exporter to that sink, without by an exporter that only counts.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Counting(SpanExporter):
        count = 0

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            self.count += len(spans)
            return SpanExportResult.SUCCESS

    counting = Counting()
    exporter = counting if url is None else OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=1_000_000))
    tracer = provider.get_tracer("agent")

    def one_run() -> None:
        with tracer.start_as_current_span("run"):
            for _ in range(STEPS):
                with tracer.start_as_current_span("search_kb") as span:
                    span.set_attribute("result_count", 3)
                    span.set_attribute("cached", value=True)

    def calls() -> list[int]:
        taken: list[int] = []
        clock = time.perf_counter_ns
        for _ in range(RUNS):
            with tracer.start_as_current_span("run"):
                for _ in range(STEPS):
                    began = clock()
                    scope = tracer.start_as_current_span("search_kb")
                    span = scope.__enter__()
                    entered = clock()
                    span.set_attribute("result_count", 3)
                    span.set_attribute("cached", value=True)
                    added = clock()
                    scope.__exit__(None, None, None)
                    taken += (entered - began, added - entered, clock() - added)
        return taken

    figures = _timed(one_run, calls)
    provider.shutdown()
    assert url or counting.count == (WARM_UP_RUNS + 2 * RUNS) * (STEPS + 1)
    return figures


def queue() -> dict[str, float]:
    """MiB of a full queue of default size, steps with two attributes."""
    from agenttracer import AgentTracer

    tracer = AgentTracer(agent_id="agent", agent_version="1", api_url="http://127.0.0.1:9", exit_timeout_s=0)
    tracer._pipeline._exporter._start_sender = lambda: None  # type: ignore[method-assign]  # nobody empties it
    tracer._pipeline._exporter.queue._start_sender = lambda: None
    with tracer.start_run() as run:
        tracemalloc.start()
        while not tracer.stats().dropped:
            for _ in range(1_000):
                with run.step("tool", "search_kb") as step:
                    step.add_metadata({"result_count": 3_000, "cached": True})
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    return {"events": tracer.stats().pending, "mib": round(held / 2**20, 1)}


def loop(url: str | None = None) -> dict[str, float]:
    """p99 of an event loop's lag with 1,000 runs at once, traced to `url` or not at all."""
    from agenttracer import AgentTracer

    tracer = AgentTracer(
        agent_id="agent", agent_version="1", api_url=url, disabled=url is None, exit_timeout_s=0, flush_on_sigterm=False
    )
    lags: list[float] = []

    async def agent() -> None:
        async with tracer.start_run() as run:
            for _ in range(STEPS):
                async with run.step("tool", "search_kb") as step:
                    step.add_metadata({"result_count": 3, "cached": True})
                    await asyncio.sleep(random.uniform(0.1, 0.3))  # as models and tools answer: not all at once

    async def watch() -> None:
        while True:
            due = time.perf_counter() + 0.005
            await asyncio.sleep(0.005)
            lags.append(time.perf_counter() - due)

    async def main() -> None:
        watcher = asyncio.create_task(watch())
        await asyncio.gather(*(agent() for _ in range(CONCURRENT)))
        watcher.cancel()

    asyncio.run(main())
    lags.sort()
    return {"lag_p99_ms": round(lags[len(lags) * 99 // 100] * 1_000, 3), "lag_max_ms": round(lags[-1] * 1_000, 3)}


def leave(url: str) -> dict[str, float]:
    """Seconds from the end of the program to the end of exit, with default settings and a gateway that never answers."""
    import atexit

    holder: list[float] = []
    atexit.register(lambda: sys.stdout.write(json.dumps({"exit_s": time.monotonic() - holder[0]}) + "\n"))
    from agenttracer import AgentTracer

    tracer = AgentTracer(agent_id="agent", agent_version="1", api_url=url)

    async def agent() -> None:
        async with tracer.start_run() as run, run.step("tool", "search_kb"):
            await asyncio.sleep(0.01)

    async def main() -> None:
        await asyncio.gather(*(agent() for _ in range(CONCURRENT)))

    asyncio.run(main())
    holder.append(time.monotonic())
    return {}


if __name__ == "__main__":
    turns: dict[str, Callable[..., dict[str, Any]]] = {
        "ours": ours,
        "opentelemetry": opentelemetry,
        "queue": queue,
        "loop": loop,
        "exit": leave,
    }
    found = turns[sys.argv[1]](*sys.argv[2:])
    if found:
        sys.stdout.write(json.dumps(found) + "\n")
