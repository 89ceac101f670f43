"""How long after the gateway's 202 a run can be seen in the query API: at half of one worker's rate, and in thin traffic.

Gateway, Kafka, worker, PostgreSQL and query service are the real ones with their default settings. Paced load comes from a
process of its own, through the gateway or straight to the topic; probes always go through the gateway. The time between two
polls is part of every figure.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from tests.benchmarks.verdict import Target, at_least, at_most
from tests.benchmarks.worker_probe import EVENTS_A_PROBE, Prober, Seen, quantiles_ms
from tests.benchmarks.worker_process import cpu_s, others, pid_of, transactions
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack

HALF_RATE_P99_MAX_MS: Final = 1_000
THIN_P99_MAX_MS: Final = 250
SENT_MIN: Final = 0.95
POLL_S = 0.01
THIN_EVENTS_PER_S = 10
_LOADED_EVERY_S = 0.4
_WARM_UP_S = 10.0


def targets(found: Mapping[str, Any]) -> list[Target]:
    """What was measured beside what is wanted. A load that was not sent proves nothing, so that it was is a target, too."""
    loaded, thin = found["half_rate"], found["thin"]
    sent = loaded["sent_events_per_s"] / loaded["wanted_events_per_s"]
    rate = f"{loaded['sent_events_per_s']:,} events/s"
    return [
        at_most("p99 in ms at half rate", loaded["p99_ms"], HALF_RATE_P99_MAX_MS, note=rate),
        at_least("share of the half rate sent", sent, SENT_MIN),
        at_most("p99 in ms in thin traffic", thin["p99_ms"], THIN_P99_MAX_MS, note=f"{thin['events_per_s']} events/s"),
    ]


def measure(stack: Stack, *, events_per_s: float, way: str, probes: int) -> dict[str, object]:
    """Thin traffic first, which is the probes alone; then under load."""
    load = others()
    pipeline = Pipeline(stack)
    try:
        bench = _Bench(pipeline)
        asyncio.run(bench.prober(0.1).run(20))  # connections, plans and partitions are there
        thin = quantiles_ms(asyncio.run(bench.prober(EVENTS_A_PROBE / THIN_EVENTS_PER_S).run(probes)))
        print(f"thin: {thin}", flush=True)
        loaded = bench.loaded(events_per_s, way, probes)
        print(f"half rate: {loaded}", flush=True)
    finally:
        pipeline.close()
    return {
        "others_before": load._asdict(),
        "poll_s": POLL_S,
        "load_goes": "through the gateway" if way == "gateway" else "straight to the topic; probes through the gateway",
        "thin": {"events_per_s": THIN_EVENTS_PER_S} | thin,
        "half_rate": loaded,
    }


class _Bench:
    """All services of one pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.gateway, self.query = pipeline.gateway(), pipeline.query()
        self.worker = pipeline.worker()

    def prober(self, every_s: float) -> Prober:
        """A prober of this pipeline."""
        key = self.pipeline.local_key
        return Prober(gateway=self.gateway.url, key=key, query=self.query.url, every_s=every_s, poll_s=POLL_S)

    def loaded(self, events_per_s: float, way: str, probes: int) -> dict[str, object]:
        """Probes while a paced load runs, which begins before them and lasts longer."""
        seconds = _WARM_UP_S + probes * _LOADED_EVERY_S + 5
        work = {
            "way": way,
            "url": self.gateway.url,
            "key": self.pipeline.local_key,
            "bootstrap": self.pipeline.stack.bootstrap,
            "topic": self.pipeline.topic,
            "events_per_s": events_per_s,
            "seconds": seconds,
            "base_us": time.time_ns() // 1000,
        }
        command = [sys.executable, "-m", "tests.benchmarks.worker_feed"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as feed:
            assert feed.stdin is not None
            assert feed.stdout is not None
            feed.stdin.write(json.dumps(work) + "\n")
            feed.stdin.flush()
            assert feed.stdout.readline() == "ready\n"
            feed.stdin.write("go\n")
            feed.stdin.flush()
            services = {"gateway": self.gateway, "worker": self.worker, "query": self.query}
            before = {name: cpu_s(pid_of(service)) for name, service in services.items()}
            earlier = transactions(self.worker)
            seen = asyncio.run(self._probe_after_warm_up(probes))
            told = json.loads(feed.stdout.readline())
        used = {name: cpu_s(pid_of(service)) - before[name] for name, service in services.items()}
        count, took_s = (now - then for now, then in zip(transactions(self.worker), earlier, strict=True))
        cores = {f"{name}_cores": round(each / told["seconds"], 2) for name, each in used.items()}
        return {
            "wanted_events_per_s": round(events_per_s),
            "sent_events_per_s": round(told["events"] / told["seconds"]),
            "latest_send_s": round(told["latest_s"], 3),
            "unsent_requests": told["unsent"],
            "transactions_per_s": round(count / told["seconds"], 1),
            "transaction_ms": round(took_s / count * 1000, 1),
            **cores,
            **quantiles_ms(seen),
        }

    async def _probe_after_warm_up(self, probes: int) -> list[Seen]:
        await asyncio.sleep(_WARM_UP_S)  # the load reaches its pace and the worker its batches
        return await self.prober(_LOADED_EVERY_S).run(probes)
