"""The two sides of a round, each in a process of its own: clients that post to the gateway, and the bare producer.

Both are told their work by a pickled file, which the parent wrote, and answer with one line of JSON.
"""

import asyncio
import http.client
import json
import pickle
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

import uvloop
from aiokafka import AIOKafkaProducer

from tests.benchmarks.gateway_requests import Request

_WINDOW_RECORDS = 2_000
_WARM_UP_RECORDS = 1_000


def post_all(url: str, requests: Sequence[Request], *, connections: int, key: str) -> float:
    """Post every request over so many kept connections; every one must be accepted whole. Wall seconds."""
    waiting: SimpleQueue[Request] = SimpleQueue()
    for request in requests:
        waiting.put(request)
    refused: list[str] = []
    threads = [threading.Thread(target=_client, args=(url, waiting, refused, key)) for _ in range(connections)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if refused:
        raise RuntimeError(f"{len(refused)} of {len(requests)} requests were not accepted: {refused[0]}")
    return time.perf_counter() - began


def _client(url: str, waiting: "SimpleQueue[Request]", refused: list[str], key: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    while True:
        try:
            request = waiting.get_nowait()
        except Empty:
            break
        connection.request("POST", request.path, body=request.body, headers={**request.headers, "Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status not in {200, 202} or (answer.status == 202 and json.loads(said)["accepted"] != request.events):
            refused.append(f"{answer.status} {said[:200]!r}")
    connection.close()


async def send_all(
    bootstrap: str, topic: str, records: Sequence[tuple[bytes, bytes]], settings: dict[str, object]
) -> dict[str, float]:
    """A bare producer: CPU and wall seconds from the first record to the last acknowledgement."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **settings)
    await producer.start()
    try:
        await _send(producer, topic, records[:_WARM_UP_RECORDS])
        cpu, wall = time.process_time(), time.perf_counter()
        for at in range(0, len(records), _WINDOW_RECORDS):
            await _send(producer, topic, records[at : at + _WINDOW_RECORDS])
        return {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
    finally:
        await producer.stop()


async def _send(producer: AIOKafkaProducer, topic: str, records: Sequence[tuple[bytes, bytes]]) -> None:
    await asyncio.gather(*[await producer.send(topic, value, key) for key, value in records])


def main() -> None:
    """`post <file>` or `send <file>`."""
    side, file = sys.argv[1:]
    work = pickle.loads(Path(file).read_bytes())
    if side == "post":
        print(json.dumps({"wall_s": post_all(**work)}))
    else:
        print(json.dumps(uvloop.run(send_all(**work))))


if __name__ == "__main__":
    main()
