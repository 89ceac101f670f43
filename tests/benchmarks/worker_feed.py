"""A process that sends traffic at a given pace: through the gateway as agents would, or straight to the topic.

Started by `worker_freshness`. Reads its work as one line of JSON, prepares every byte, says `ready`, begins at the next line of
its input, and answers with one line of JSON: events sent, seconds it took, and how late the latest request left.
"""

import asyncio
import http.client
import json
import sys
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final
from urllib.parse import urlsplit

from aiokafka import AIOKafkaProducer

from tests.benchmarks.worker_load import EVENTS_A_RUN, encoded, request_body, run_events

RUNS_A_REQUEST: Final = 40  # 480 events: the SDK sends up to 500
_TICK_S: Final = 0.005
_CONNECTIONS: Final = 8
Told = dict[str, float]


class Post:
    """Requests to the gateway over kept connections, each at its time."""

    def __init__(self, work: dict[str, Any]) -> None:
        self._netloc = urlsplit(work["url"]).netloc
        self._headers = {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Authorization": f"Bearer {work['key']}",
        }
        self._every_s = RUNS_A_REQUEST * EVENTS_A_RUN / work["events_per_s"]
        runs = range(0, int(work["seconds"] / self._every_s) * RUNS_A_REQUEST, RUNS_A_REQUEST)
        self._bodies = [_body(range(first, first + RUNS_A_REQUEST), work["base_us"]) for first in runs]

    def run(self) -> Told:
        """Send all of it."""
        waiting: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
        began = time.monotonic()
        for number, body in enumerate(self._bodies):
            waiting.put((began + number * self._every_s, body))
        late_s: list[float] = []
        threads = [threading.Thread(target=self._client, args=(waiting, late_s)) for _ in range(_CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        events = len(late_s) * RUNS_A_REQUEST * EVENTS_A_RUN
        return {
            "events": events,
            "seconds": time.monotonic() - began,
            "latest_s": max(late_s),
            "unsent": len(self._bodies) - len(late_s),
        }

    def _client(self, waiting: "SimpleQueue[tuple[float, bytes]]", late_s: list[float]) -> None:
        connection = http.client.HTTPConnection(self._netloc, timeout=30)
        while True:
            try:
                due, body = waiting.get_nowait()
            except Empty:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            late = time.monotonic() - due
            connection.request("POST", "/v1/events", body=body, headers=self._headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 202:
                late_s.append(late)
        connection.close()


def _body(numbers: Sequence[int], base_us: int) -> bytes:
    return request_body([event for number in numbers for event in run_events(number, base_us)])


class Produce:
    """Records to the topic, a few every five milliseconds."""

    def __init__(self, work: dict[str, Any]) -> None:
        self._work = work
        self._records = list(encoded(int(work["events_per_s"] * work["seconds"] / EVENTS_A_RUN), work["base_us"]))

    def run(self) -> Told:
        """Send all of it."""
        return asyncio.run(self._send(self._records))

    async def _send(self, records: Sequence[tuple[bytes, bytes]]) -> Told:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._work["bootstrap"], acks="all", enable_idempotence=True, compression_type="zstd", linger_ms=5
        )
        await producer.start()
        per_s, sent, latest_s, began = self._work["events_per_s"] / EVENTS_A_RUN, 0, 0.0, time.monotonic()
        while sent < len(records):
            due = min(len(records), int((time.monotonic() - began) * per_s) + 1)
            latest_s = max(latest_s, (due - sent) / per_s - _TICK_S)
            for key, value in records[sent:due]:
                await producer.send(self._work["topic"], value, key=key)
            sent = due
            await asyncio.sleep(_TICK_S)
        await producer.flush()
        took = time.monotonic() - began
        await producer.stop()
        return {"events": sent * EVENTS_A_RUN, "seconds": took, "latest_s": latest_s, "unsent": 0}


def main() -> None:
    """Prepare, wait for the word, send, tell."""
    work = json.loads(sys.stdin.readline())
    feed: Post | Produce = Post(work) if work["way"] == "gateway" else Produce(work)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(feed.run()))


if __name__ == "__main__":
    main()
