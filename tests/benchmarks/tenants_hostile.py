"""What a hostile tenant sends and asks, without a pause, in a process of its own: one mischief at a time.

Everything here is within the contract, or refused by it: nothing needs more than a key of one's own project.
"""

import gzip
import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx

_SENDERS: Final = 4
_REFUSED_PAUSE_S: Final = 0.05
"""After a refusal: whoever does not heed Retry-After is no faster for it."""
_DEEP_RUNS: Final = 100
_DEEP_STEPS: Final = 1_000
Body = tuple[dict[str, str], bytes]


def batch(events: list[dict[str, Any]], *, producer: str = "hostile") -> Body:
    """A packed request."""
    head = {"id": producer, "agent": "hostile", "agent_version": "1"}
    body = json.dumps({"v": "1.0", "producer": head, "events": events}, separators=(",", ":")).encode()
    return {"content-encoding": "gzip"}, gzip.compress(body, compresslevel=1)


def step(run_id: str, seq: int, **members: Any) -> dict[str, Any]:
    """A finished step of now."""
    known = {"kind": "tool", "name": "lookup", "duration_us": 1_000, "status": "ok", "started_at": time.time_ns() // 1_000}
    return {"type": "step_finished", "run_id": run_id, "seq": seq, "step_id": f"{seq + 1:016x}", **known, **members}


def junk_labels() -> Iterator[Body]:
    """Labels that do not fit: each takes the slow way."""
    labels = {f"k{at}": "two words" for at in range(32)}
    while True:
        yield batch([step(str(uuid.uuid4()), at, metadata=labels) for at in range(30)])


def deep_runs() -> Iterator[Body]:
    """A late failed step in each of a hundred long runs."""
    run_ids = [str(uuid.uuid4()) for _ in range(_DEEP_RUNS)]
    for run_id in run_ids:
        yield batch([step(run_id, at) for at in range(_DEEP_STEPS)])
    for seq in itertools.count(_DEEP_STEPS):
        yield batch([step(run_id, seq, status="error", evidence={"http_status": 500}) for run_id in run_ids])


def many_producers() -> Iterator[Body]:
    """Five hundred runs that ever more producers take part in, with a gap in each."""
    run_ids = [str(uuid.uuid4()) for _ in range(500)]
    for number in itertools.count():
        yield batch([step(run_id, 2 * number + 1) for run_id in run_ids], producer=f"p{number}")


def wide_statistics() -> Iterator[Body]:
    """Names without end."""
    for number in itertools.count():
        run_id = str(uuid.uuid4())
        yield batch([step(run_id, at, name=f"name-{number}-{at}") for at in range(1_000)])


def huge_batches() -> Iterator[Body]:
    """As many bytes as a request may become."""
    label = {f"k{at}": f"{at:02x}" * 30 for at in range(16)}
    while True:
        run_id = str(uuid.uuid4())
        yield batch([step(run_id, at, metadata=label) for at in range(4_000)])


MISCHIEF: Final[Mapping[str, tuple[Callable[[], Iterator[Body]], str]]] = {
    "junk_labels": (junk_labels, ""),
    "deep_runs": (deep_runs, ""),
    "many_producers": (many_producers, "/v1/runs?limit=500"),
    "wide_statistics": (wide_statistics, "/v1/stats"),
    "huge_batches": (huge_batches, ""),
}
"""By name: what is sent, and what is asked for all the time."""


def misbehave(name: str, *, gateway: str, query: str, ingest_key: str, read_key: str) -> None:
    """Never returns: the process is ended."""
    bodies, asked = MISCHIEF[name]
    lock, source = threading.Lock(), bodies()

    def send() -> None:
        with httpx.Client(base_url=gateway, headers={"x-api-key": ingest_key, "content-type": "application/json"}) as client:
            while True:
                with lock:
                    headers, body = next(source)
                _ask(lambda: client.post("/v1/events", content=body, headers=headers, timeout=30))  # noqa: B023 - called at once

    def read() -> None:
        with httpx.Client(base_url=query, headers={"x-api-key": read_key}) as client:
            while True:
                _ask(lambda: client.get(asked, timeout=30))

    threads = [threading.Thread(target=send, daemon=True) for _ in range(_SENDERS)]
    threads += [threading.Thread(target=read, daemon=True) for _ in range(_SENDERS if asked else 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _ask(request: Callable[[], httpx.Response]) -> None:
    try:
        refused = request().status_code >= 400
    except httpx.TransportError:
        refused = True
    if refused:
        time.sleep(_REFUSED_PAUSE_S)
