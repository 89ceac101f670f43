"""Bodies that are nearly right. `make fuzz` posts a million of them; the bodies and the promises are the same."""

import asyncio

import pytest

from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from tests.fuzz.bodies import body, well_formed
from tests.fuzz.gateway import EXPECTED, fuzz, open_gateway, post
from tests.fuzz.grpc_calls import EXPECTED as GRPC_CODES
from tests.fuzz.grpc_calls import fuzz_grpc
from tests.fuzz.mutate_protobuf import encoded, fields
from tests.unit.gateway.otlp import spans as make


def test_20_000_mutated_bodies() -> None:
    """None gets a 5xx or an exception, every record is right for the reference reader, memory stays within its bounds."""
    result = asyncio.run(fuzz(20_000, seed=1))
    seen = {url: {status for at, status in result.statuses if at == url} for url in EXPECTED}
    assert seen == EXPECTED, "every answer is met, so no mutation is only of one kind"
    assert result.records > 4_000


def test_1_000_mutated_messages_over_grpc() -> None:
    """None gets an internal error, and every record is right."""
    result = asyncio.run(fuzz_grpc(1_000, seed=1))
    assert {status for _, status in result.statuses} == {code.value[0] for code in GRPC_CODES}
    assert result.records > 300


def test_every_start_is_accepted() -> None:
    """What is mutated is right before it is."""

    async def statuses() -> set[int]:
        app, key = await open_gateway(GatewaySettings(rate_events_per_s=0, rate_bytes_per_s=0), MemoryRecordLog())
        return {(await post(app, each, key=key))[0] for each in well_formed()}

    assert asyncio.run(statuses()) == {200, 202}


def test_a_body_is_made_again_from_its_index() -> None:
    """A failure's line names seed and index; these give the same bytes, whatever was made before."""
    assert [body(7, index) for index in range(50)] == [body(7, index) for index in reversed(range(50))][::-1]
    assert body(7, 1) != body(8, 1)


def test_protobuf_is_taken_apart_and_put_together() -> None:
    """Fields read without a schema give the same bytes again, so a change is the only change."""
    packed = make.protobuf(make.request(make.span(said={"a": [1, "x", {"b": 2.5}]}, **make.failed("E"))))
    assert encoded(fields(packed) or []) == packed
    assert fields(packed[:-1]) is None


@pytest.mark.parametrize("status", [500, 503])
def test_a_broken_promise_is_noticed(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """An answer that is not expected stops the run with the line that repeats it."""

    async def broken(*_: object, **__: object) -> tuple[int, bytes]:
        return status, b"{}"

    monkeypatch.setattr("tests.fuzz.gateway.post", broken)
    with pytest.raises(AssertionError, match=r"python -m tests\.fuzz 1 --seed 3 --first 5"):
        asyncio.run(fuzz(1, seed=3, first=5))
