"""Posts mutated requests to a gateway in this process and holds every answer and every record against what is promised."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from agenttracer.wire import reader
from agenttracer.wire.topics import record_key
from producer_gateway.app import create_app
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from servicekit import codec
from servicekit.auth.keys import Scope
from servicekit.testing import MemoryKeys, cache_of
from tests.fuzz.bodies import Body, body
from tests.unit.gateway.otlp.spans import START_US

EXPECTED: Final = {
    "/v1/traces": {200, 400, 413, 415},
    "/v1/events": {202, 400, 413, 415, 422},
    "/v1/runs": {202, 400, 413, 415, 422},
}
MEMORY_BESIDES_MAX: Final = 64 * 1024 * 1024
"""What a process may take beyond what bodies in flight may."""
_IN_FLIGHT_BYTES: Final = 48 * 1024 * 1024
"""Room for one body as large as allowed, since there is one at a time."""
_EVERY: Final = 1_000


@dataclass
class Result:
    """What became of them, and by how much the process grew at its largest, in bytes."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    records: int = 0
    grown_bytes: int = 0


class BrokenPromiseError(AssertionError):
    """Says how to send the same request again."""


async def fuzz(count: int, *, seed: int, first: int = 0, progress: Callable[[int, Result], None] = lambda *_: None) -> Result:
    """Post `count` bodies from index `first`. Raises BrokenPromiseError at the first that breaks a promise."""
    settings, log, result = (
        GatewaySettings(in_flight_max_bytes=_IN_FLIGHT_BYTES, rate_events_per_s=0, rate_bytes_per_s=0),
        MemoryRecordLog(),
        Result(),
    )
    app, key = await open_gateway(settings, log)
    allowed = settings.in_flight_max_bytes + MEMORY_BESIDES_MAX
    before = 0
    for index in range(first, first + count):
        request = body(seed, index)
        try:
            status, answer = await post(app, request, key=key)
            _check_answer(request, status, answer, events=sum(_check_record(each) for each in log.messages))
            result.grown_bytes = max(0, _peak_bytes() - before) if before else 0
            assert result.grown_bytes <= allowed, f"{result.grown_bytes} bytes more than at first"
        except Exception as error:
            again = f"python -m tests.fuzz 1 --seed {seed} --first {index}"
            raise BrokenPromiseError(f"{again}\n{request.url}: {error!r}") from error
        result.statuses[request.url, status] += 1
        result.records += len(log.messages)
        log.messages.clear()
        if index == first:
            before = _peak_forgotten()
        if (index + 1) % _EVERY == 0:
            progress(index + 1 - first, result)
    return result


async def open_gateway(settings: GatewaySettings, log: MemoryRecordLog) -> tuple[Any, str]:
    """An app on this log, and a key that lets requests in."""
    keys = MemoryKeys()
    key, ring = keys.create(Scope.INGEST), cache_of(keys, stale_max_s=math.inf)  # nobody refreshes it while bodies are posted
    await log.start()
    await ring.refresh()
    return create_app(settings, log, keys=ring, clock_us=lambda: START_US), key


async def post(app: Any, request: Body, *, key: str) -> tuple[int, bytes]:
    """What a server would do, without one: an exception of the app's is not made an answer here."""
    said = {**request.headers, "x-api-key": key}
    headers = [(name.encode(), value.encode("latin-1")) for name, value in said.items()]
    length = (b"content-length", str(len(request.content)).encode())
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": request.url, "query_string": b""}
    scope |= {"raw_path": request.url.encode(), "headers": [*headers, length], "root_path": "", "asgi": {"version": "3.0"}}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": request.content, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    await asyncio.sleep(0)  # nothing above waits: without a turn of its own the loop would keep every timer that was cancelled
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def _check_answer(request: Body, status: int, answer: bytes, *, events: int) -> None:
    assert status in EXPECTED[request.url], status
    if request.url == "/v1/traces":
        _check_otlp_answer(request, status, answer)
        assert events == 0 or status == 200
        return
    said = json.loads(answer)
    if status == 202:
        assert said["accepted"] == events > 0, "what is said to be accepted is in the log"
        return
    assert events == 0
    assert said["error"].keys() == {"code", "field", "message"}


def _check_otlp_answer(request: Body, status: int, answer: bytes) -> None:
    if request.headers["content-type"].partition(";")[0].strip().lower() != "application/x-protobuf":
        said = json.loads(answer)
        assert said.keys() <= ({"partialSuccess"} if status == 200 else {"code", "message"})
    else:
        (ExportTraceServiceResponse() if status == 200 else Status()).ParseFromString(answer)


def _check_record(message: Any) -> int:
    """How many events it holds. The reference reader takes it as it is, and the fast one reads the same."""
    record, notes = reader.read_record(codec.parse(message.value))
    assert (notes.unknown, dict(notes.dropped)) == (0, {})
    assert codec.encode_record(codec.read_record(message.value)[0]) == codec.encode_record(record) == message.value
    assert message.key == record_key(record.project, record.events[0].run_id)
    return len(record.events)


# --- memory, by the kernel's own count ------------------------------------------------------------------------------------


def _peak_forgotten() -> int:
    """Resident bytes now, from which on the peak is counted."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak_bytes() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    return int(text[text.index(f"{name}:") :].split(maxsplit=2)[1]) * 1024
