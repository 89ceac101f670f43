"""What one gateway process costs per event, beside the ceiling: a bare aiokafka producer that sends the same records.

`make bench-gateway` writes build/bench-gateway.json. How it is measured:

- **Events per second per core** are events divided by the CPU seconds, user and system, of the process under test, all its
  threads: the gateway's by its process clock from outside, the bare producer's by its own. So a busy machine makes figures
  noisier but not worse, and neither client nor broker counts.
- **The gateway** is the real service process with its default settings, over HTTP with kept connections, several requests in
  flight: native batches are the SDK's bytes (its encoder, zstd level 1), OTLP what OpenTelemetry's exporter sends (protobuf,
  not compressed), 8 to 12 attributes a span, content among them. Each request carries an API key. Another process sends.
- **The ceiling** sends the records which the gateway wrote, read back from its topic: same keys, values, number, order,
  broker, partitions, acks, compression, idempotence, linger, batch size and event loop.
- **The workload** is runs of ten steps (12 events: start, ten steps, end) in batches of 500 events. A record holds the events
  of one run out of one batch, so how many agents work at a time in one process decides how many that are, and with it the
  ratio: small records cost the bare producer more an event. `native_ratio` and `otlp_ratio` are those of 100 agents at a time (5
  events a record); also measured are one agent, whose runs come one after another (11.8 events a record, the hardest for
  the gateway), and 500 (one event a record), which is how it is where a step takes a second and a batch leaves every half.
- Gateway and ceiling take turns (A B A B); medians count, and a ratio is the median of the rounds' ratios: 1 would mean that all
  the gateway does besides sending costs nothing.
- **Cost by size** posts runs of eight steps, ten events, so that a record holds ten events at every size and what differs is
  the number of requests. A line is fitted to a
  request's cost over its events, by shares and not by microseconds: it gives what a request costs whatever is in it, and what
  an event does. Where an event costs the same at every size all sizes lie on it; the one that lies highest beside the one that
  lies lowest says how flat that is. Beside it, in turns, the floor: the same requests to the same HTTP server on the same loop,
  which sends each body to Kafka as it is (`gateway_floor.py`). What lies between the two is what the gateway adds: keys,
  limits, reading, checking, regrouping.

Ends with the targets and what was found, and with exit code 1 when one is missed.
"""

import argparse
import asyncio
import json
import os
import pickle
import platform
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer

from agenttracer.wire.topics import PARTITIONS_DEFAULT
from agenttracer_cli.admin.topics import ensure_topic
from producer_gateway.settings import GatewaySettings
from tests.benchmarks import gateway_requests, gateway_sizes, verdict
from tests.benchmarks.gateway_requests import Request
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack, new_stack

OUTPUT = Path(__file__).parents[2] / "build" / "bench-gateway.json"
STEPS = 10
AGENTS = 100
OTHER_AGENTS = (1, 500)
BATCH_EVENTS = 500
CONNECTIONS = 16
SIZES = (10, 50, 100, 500, 1_000, 5_000)
WAYS: dict[str, Callable[..., list[Request]]] = {"native": gateway_requests.native, "otlp": gateway_requests.otlp}
RATIO_MIN = {"native": 0.5, "otlp": 0.25}
Figures = dict[str, float]


class Bench:
    """A pipeline with a gateway, and topics for both sides."""

    def __init__(self, stack: Stack) -> None:
        self.pipeline = Pipeline(stack)
        self.pipeline.topic = self.new_topic()
        self.service = self.pipeline.gateway()

    def new_topic(self) -> str:
        topic = f"bench-{uuid.uuid4().hex[:8]}"
        bootstrap = self.pipeline.stack.bootstrap
        asyncio.run(ensure_topic(bootstrap, name=topic, partitions=PARTITIONS_DEFAULT, replication_factor=1))
        return topic

    def gateway(self, requests: Sequence[Request]) -> Figures:
        """CPU and wall seconds of the gateway for these requests."""
        assert self.service.pid is not None
        return self._posted(requests, url=self.service.url, pid=self.service.pid)

    def ceiling(self, topic: str, records: Sequence[tuple[bytes, bytes]]) -> Figures:
        """The same of a bare producer for these records."""
        return self._side("send", {**self._producer(topic), "records": records})

    @contextmanager
    def floor(self) -> Iterator[Callable[[Sequence[Request]], Figures]]:
        """Runs the bare HTTP server beside the gateway; gives what measures it as `gateway` measures that."""
        file = self.pipeline.state_dir / "floor.pickle"
        file.write_bytes(pickle.dumps(self._producer(self.new_topic())))
        command = [sys.executable, "-m", "tests.benchmarks.gateway_floor", str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                url = f"http://127.0.0.1:{int(process.stdout.readline())}"
                yield lambda requests: self._posted(requests, url=url, pid=process.pid)
            finally:
                process.terminate()

    def _posted(self, requests: Sequence[Request], *, url: str, pid: int) -> Figures:
        before = _cpu_s(pid)
        work = {"url": url, "requests": requests, "connections": CONNECTIONS, "key": self.pipeline.local_key}
        said = self._side("post", work)
        return {"cpu_s": _cpu_s(pid) - before, "wall_s": said["wall_s"]}

    def _producer(self, topic: str) -> dict[str, object]:
        settings = GatewaySettings()
        alike: dict[str, object] = {
            "acks": "all",
            "enable_idempotence": True,
            "compression_type": "zstd",
            "linger_ms": settings.linger_ms,
            "max_batch_size": settings.batch_max_bytes,
        }
        return {"bootstrap": self.pipeline.stack.bootstrap, "topic": topic, "settings": alike}

    def records(self) -> list[tuple[bytes, bytes]]:
        """All that lies in the gateway's topic, partition by partition as it came."""
        return asyncio.run(_read(self.pipeline.stack.bootstrap, self.pipeline.topic))

    def _side(self, side: str, work: dict[str, object]) -> Figures:
        file = self.pipeline.state_dir / "work.pickle"
        file.write_bytes(pickle.dumps(work))
        command = [sys.executable, "-m", "tests.benchmarks.gateway_sides", side, str(file)]
        answer: Figures = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        return answer


def _cpu_s(pid: int) -> float:
    return time.clock_gettime((~pid << 3) | 2)  # Linux's number for the clock of all threads of another process


async def _read(bootstrap: str, topic: str) -> list[tuple[bytes, bytes]]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        total = sum((await consumer.end_offsets(consumer.assignment())).values())
        found: list[tuple[bytes, bytes]] = []
        while len(found) < total:
            for messages in (await consumer.getmany(timeout_ms=1_000)).values():
                found.extend((each.key, each.value) for each in messages)
        return found
    finally:
        await consumer.stop()


def measure_ratio(stack: Stack, way: str, *, agents: int, runs: int, rounds: int) -> dict[str, Any]:
    """Gateway and ceiling in turns."""
    requests = WAYS[way](
        runs, agents=agents, steps=STEPS, events_a_request=BATCH_EVENTS, base_us=time.time_ns() // 1_000 - 3_600_000_000
    )
    events = sum(request.events for request in requests)
    bench = Bench(stack)
    try:
        bench.gateway(requests)  # warm, and the records to send
        records, topic = bench.records(), bench.new_topic()
        sides: list[tuple[Figures, Figures]] = []
        for number in range(rounds):
            sides.append((bench.gateway(requests), bench.ceiling(topic, records)))
            gateway, ceiling = sides[-1]
            costs = f"{_us(gateway, events):.2f} us/event, ceiling {_us(ceiling, events):.2f}"
            print(f"{way} of {agents} agents, {number + 1}: {costs}", flush=True)
    finally:
        bench.pipeline.close()
    return {
        "agents": agents,
        "ratio": statistics.median(ceiling["cpu_s"] / gateway["cpu_s"] for gateway, ceiling in sides),
        "ratios": [ceiling["cpu_s"] / gateway["cpu_s"] for gateway, ceiling in sides],
        "gateway": _side([gateway for gateway, _ in sides], events),
        "ceiling": _side([ceiling for _, ceiling in sides], events),
        "events_a_round": events,
        "events_a_record": events / len(records),
        "events_a_request": events / len(requests),
        "body_bytes_an_event": sum(len(request.body) for request in requests) / events,
        "record_bytes_an_event": sum(len(value) for _, value in records) / events,
    }


def _us(figures: Figures, events: int) -> float:
    return figures["cpu_s"] / events * 1e6


def _side(rounds: Sequence[Figures], events: int) -> dict[str, float]:
    return {
        "events_per_s_per_core": statistics.median(events / each["cpu_s"] for each in rounds),
        "cpu_us_an_event": statistics.median(_us(each, events) for each in rounds),
        "wall_events_per_s": statistics.median(events / each["wall_s"] for each in rounds),
    }


def measure_sizes(stack: Stack, way: str, *, events: int, rounds: int) -> dict[str, object]:
    """Cost per event by events a request; the sizes take turns, and of each the median counts."""
    base_us = time.time_ns() // 1_000 - 3_600_000_000
    work = {
        size: WAYS[way](max(events, 4 * size) // 10, agents=1, steps=8, events_a_request=size, base_us=base_us) for size in SIZES
    }
    costs: dict[int, list[float]] = {size: [] for size in work}
    floors: dict[int, list[float]] = {size: [] for size in work}
    bench = Bench(stack)
    try:
        with bench.floor() as floor:
            bench.gateway(work[500])
            floor(work[500])
            for _ in range(rounds):
                for size, requests in work.items():
                    events_sent = sum(request.events for request in requests)
                    costs[size].append(_us(bench.gateway(requests), events_sent))
                    floors[size].append(_us(floor(requests), events_sent))
    finally:
        bench.pipeline.close()
    gateway, bare = gateway_sizes.on_a_line(costs), gateway_sizes.on_a_line(floors)
    for size, cost in gateway["cpu_us_an_event"].items():
        print(f"{way} {size} events a request: {cost:.2f} us/event, floor {bare['cpu_us_an_event'][size]:.2f}", flush=True)
    return {**gateway, "floor": bare}


def targets(figures: Mapping[str, Any]) -> list[verdict.Target]:
    """What was measured beside what is wanted."""
    found = []
    for way in (way for way in WAYS if way in figures):
        sides = {name: figures[way][name]["events_per_s_per_core"] for name in ("gateway", "ceiling")}
        note = f"{sides['gateway']:,.0f} of {sides['ceiling']:,.0f} events/s a core"
        found.append(verdict.at_least(f"{way}_ratio", figures[way]["ratio"], RATIO_MIN[way], note=note))
        if "by_size" in figures[way]:
            found.append(gateway_sizes.flatness(way, figures[way]["by_size"]))
    return found


def main() -> int:
    """Measure, write, print. Exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000, help="agent runs a round, of 12 events each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--no-sizes", action="store_true")
    options = parser.parse_args()
    stack = new_stack()
    figures: dict[str, object] = {
        "method": __doc__,
        "machine": _machine(),
        "settings": {"partitions": PARTITIONS_DEFAULT, "connections": CONNECTIONS},
    }
    try:
        for way in options.ways:
            measured = measure_ratio(stack, way, agents=AGENTS, runs=options.runs, rounds=options.rounds)
            measured["other_records"] = [
                measure_ratio(stack, way, agents=agents, runs=options.runs // 2, rounds=max(1, options.rounds // 2))
                for agents in OTHER_AGENTS
            ]
            if not options.no_sizes:
                measured["by_size"] = measure_sizes(stack, way, events=options.runs * 4, rounds=options.rounds)
            figures |= {f"{way}_ratio": measured["ratio"], way: measured}
    finally:
        stack.stop()
    found = targets(figures)
    figures["targets"] = verdict.as_json(found)
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(verdict.table(found), f"({OUTPUT})", sep="\n")
    return verdict.exit_code(found)


def _machine() -> dict[str, object]:
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ""
    )
    return {"cores": os.cpu_count(), "model": model, "python": platform.python_version(), "load_1m": os.getloadavg()[0]}


if __name__ == "__main__":
    sys.exit(main())
