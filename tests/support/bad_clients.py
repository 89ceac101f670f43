"""Clients that keep a gateway waiting, in a process of their own: `python -m tests.support.bad_clients PORT SLOW HALF_OPEN`.

SLOW of them send a head and then a byte of the body now and then. HALF_OPEN send nothing or half a head, and never read: what a
peer looks like that is gone without a word. Whoever is disconnected comes back. When standard input closes they tell, as JSON,
how often they were answered with which status, or only disconnected.
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_EVERY_S = 0.5
_HEAD = b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
SLOW_BODY = _HEAD + b"content-length: 100000\r\n\r\n"


@contextmanager
def bad_clients(port: int, *, slow: int, half_open: int) -> Iterator[Counter[str]]:
    """Keep them at it while the block runs; afterwards the counter holds what became of their connections."""
    outcomes: Counter[str] = Counter()
    command = [sys.executable, "-m", "tests.support.bad_clients", str(port), str(slow), str(half_open)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield outcomes
    finally:
        told, _ = process.communicate()
    outcomes.update(json.loads(told))


async def _slow(port: int, outcomes: Counter[str]) -> None:
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(SLOW_BODY)
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            writer.write(b"x")
            await asyncio.wait([answer], timeout=_EVERY_S)
        writer.close()
        outcomes[_status(answer)] += 1


def _status(answer: asyncio.Task[bytes]) -> str:
    if answer.exception() is not None:
        return "reset"
    return answer.result()[9:12].decode() or "disconnected"


async def _half_open(port: int, outcomes: Counter[str], sent: bytes) -> None:
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        try:
            answer = await reader.read()
        except ConnectionResetError:
            answer = b""
        writer.close()
        outcomes[answer[9:12].decode() or "disconnected"] += 1


async def _run(port: int, slow: int, half_open: int) -> None:
    outcomes: Counter[str] = Counter()
    tasks = [asyncio.create_task(_slow(port, outcomes)) for _ in range(slow)]
    tasks += [asyncio.create_task(_half_open(port, outcomes, _HEAD if at % 2 else b"")) for at in range(half_open)]
    ending = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait([ending, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    print(json.dumps(outcomes), flush=True)  # noqa: T201 - this is how it tells


if __name__ == "__main__":
    asyncio.run(_run(*[int(each) for each in sys.argv[1:]]))
