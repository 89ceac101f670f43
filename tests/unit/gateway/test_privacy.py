"""What goes wrong inside the gateway says nothing of what was sent. What is sent on purpose: `test_canaries`."""

import asyncio
import io
from typing import NoReturn

import httpx
import pytest

from producer_gateway.app import create_app
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from servicekit.testing import MemoryKeys, cache_of
from tests.unit.gateway import batches as make

pytestmark = pytest.mark.anyio
CANARY = "canary7f3a"


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


async def test_no_canary_of_an_error_that_nobody_awaits(log: MemoryRecordLog, lines: io.StringIO) -> None:
    """What the event loop reports by itself is told by class; its own words hold reprs of arguments and exceptions."""
    app = create_app(GatewaySettings(), log, keys=cache_of(MemoryKeys()))
    async with app.router.lifespan_context(app):
        context = {"message": f"Exception in callback {CANARY}", "exception": RuntimeError(CANARY)}
        asyncio.get_running_loop().call_exception_handler(context)
    assert CANARY not in lines.getvalue()
    assert "RuntimeError" in lines.getvalue()
