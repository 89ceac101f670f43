"""Nothing of what was sent and not accepted comes out again: not in answers, not in logs, not in metrics, not in records."""

import asyncio
import gzip
import io
import json
import logging
from collections.abc import Iterator
from typing import NoReturn

import httpx
import pytest

from producer_gateway.app import create_app
from producer_gateway.run_document import EXAMPLE
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from servicekit.logs import ContentFreeFormatter
from servicekit.testing import MemoryKeys, ring_of
from tests.unit.gateway import batches as make
from tests.unit.gateway.batches import Records

pytestmark = pytest.mark.anyio
CANARY = "canary7f3a"
FREE_TEXT = f"{CANARY} with a blank"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that any logger says, as the service would write it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(ContentFreeFormatter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


def _batches() -> Iterator[object]:
    """Canaries wherever a batch has room for one."""
    evidence = {"error_class": FREE_TEXT, "error_code": FREE_TEXT, "message": FREE_TEXT}
    yield make.batch(make.step(name=FREE_TEXT + "\0", evidence=evidence, **{FREE_TEXT: FREE_TEXT}))
    yield make.batch(make.step(metadata={"prompt": CANARY, FREE_TEXT: 1, "a": FREE_TEXT, "b": [FREE_TEXT], "c": {CANARY: 1}}))
    yield make.batch(make.started(), **{CANARY: FREE_TEXT})
    for member in ("type", "run_id", "step_id", "kind", "status", "seq", "started_at"):
        yield make.batch(make.step(**{member: CANARY}), make.started())
    yield make.batch(CANARY, [CANARY], {"type": CANARY}, {CANARY: CANARY})
    yield {**make.batch(make.started()), "v": CANARY}
    yield {**make.batch(make.started()), "producer": {"id": FREE_TEXT, "agent": FREE_TEXT, CANARY: 1}}
    yield {**make.batch(make.started()), "producer": FREE_TEXT}
    yield {**make.batch(), "events": {CANARY: CANARY}}
    yield {CANARY: CANARY}


def _documents() -> Iterator[object]:
    step = {"kind": "tool", "name": "t", "latency_ms": 1}
    for members in (
        {CANARY: 1},
        {"run_id": CANARY},
        {"status": CANARY},
        {"agent_id": [CANARY]},
        {"started_at": CANARY},
        {"latency_ms": CANARY},
        {"steps": CANARY},
        {"steps": [{**step, CANARY: CANARY}]},
        {"steps": [{**step, "kind": CANARY}]},
        {"steps": [{**step, "metadata": {CANARY + " ": CANARY, "text": CANARY, "x": {CANARY: CANARY}}}], "failure": None},
        {"steps": [{**step, "metadata": CANARY}]},
        {"failure": {"failure_type": "tool", "failure_code": FREE_TEXT}},
        {"failure": {"failure_type": "tool", "failure_code": "x", "step": CANARY}},
        {"failure": {"failure_type": "tool", "failure_code": "x", "message": FREE_TEXT}},
        {"agent_version": FREE_TEXT * 50},
    ):
        yield {**EXAMPLE, **members}


def _bodies() -> Iterator[tuple[str, bytes, dict[str, str]]]:
    for item in _batches():
        yield "/v1/events", json.dumps(item).encode(), {}
        yield "/v1/events", gzip.compress(json.dumps(item).encode()), {"content-encoding": "gzip"}
    for item in _documents():
        yield "/v1/runs", json.dumps(item).encode(), {}
    for route in ("/v1/events", "/v1/runs", f"/{CANARY}", f"/v1/{CANARY}?{CANARY}={CANARY}", f"/v1/events/?q={CANARY}"):
        yield route, CANARY.encode(), {}
        yield route, f'"{CANARY}'.encode() + b"\xff", {}
        yield route, CANARY.encode(), {"content-encoding": "gzip"}
        yield route, b"{}", {"content-encoding": CANARY}
        yield route, b"{}", {"content-type": CANARY}
        yield route, b"{}", {"baggage": CANARY, "user-agent": CANARY, "authorization": CANARY}


def _dump(answer: httpx.Response) -> str:
    return answer.text + str(dict(answer.headers))


async def test_no_canary_comes_out(client: httpx.AsyncClient, lines: io.StringIO, log: MemoryRecordLog) -> None:
    """Of canaries in every channel of bad requests none is found in answers, logs, metrics or the log of records."""
    asked = 0
    for route, body, headers in _bodies():
        answer = await client.post(route, content=body, headers=headers)
        assert answer.status_code < 500
        assert CANARY not in _dump(answer), (route, body)
        asked += 1
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        assert CANARY not in _dump(await client.request(method, f"/v1/events?{CANARY}"))
    assert asked > 60
    assert CANARY not in (await client.get("/metrics")).text
    assert CANARY not in lines.getvalue()
    assert not any(CANARY.encode() in message.value + message.key for message in log.messages)
    assert log.messages, "some of the requests were accepted in part"


async def test_no_canary_of_an_unexpected_error(
    client: httpx.AsyncClient, log: MemoryRecordLog, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that carries content leaves its class and nothing else in answer and logs."""

    async def append(*_args: object, **_kwargs: object) -> NoReturn:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(log, "append", append)
    answer = await client.post("/v1/events", json=make.batch(make.started()))
    assert answer.status_code == 500
    assert CANARY not in answer.text + lines.getvalue()
    assert "RuntimeError" in lines.getvalue()


async def test_the_control(client: httpx.AsyncClient, records: Records) -> None:
    """What the contract has a place for does come through: the search above would find it."""
    await client.post("/v1/events", json=make.batch(make.step(name=CANARY)))
    assert CANARY in json.dumps(records())


async def test_no_canary_of_an_error_that_nobody_awaits(log: MemoryRecordLog, lines: io.StringIO) -> None:
    """What the event loop reports by itself is told by class; its own words hold reprs of arguments and exceptions."""
    app = create_app(GatewaySettings(), log, keys=ring_of(MemoryKeys()))
    async with app.router.lifespan_context(app):
        context = {"message": f"Exception in callback {CANARY}", "exception": RuntimeError(CANARY)}
        asyncio.get_running_loop().call_exception_handler(context)
    assert CANARY not in lines.getvalue()
    assert "RuntimeError" in lines.getvalue()
