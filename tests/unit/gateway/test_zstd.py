"""Bodies in zstd, friendly and hostile, on every route."""

import gzip
import random
from collections.abc import Callable

import httpx
import pytest
from backports import zstd
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from producer_gateway.errors import BadCompressionError
from producer_gateway.limits.decompress import ContentEncoding, inflate
from tests.unit.gateway import batches as make
from tests.unit.gateway.otlp import spans

pytestmark = pytest.mark.anyio
ZSTD = {"content-encoding": "zstd"}
MAGIC = b"\x28\xb5\x2f\xfd"


@pytest.mark.parametrize(
    ("route", "content_type", "body", "status"),
    [
        ("/v1/events", "application/json", make.body(make.started()), 202),
        ("/v1/traces", "application/x-protobuf", ExportTraceServiceRequest().SerializeToString(), 200),
        ("/v1/traces", "application/json", b"{}", 200),
    ],
)
async def test_every_route(client: httpx.AsyncClient, route: str, content_type: str, body: bytes, status: int) -> None:
    """One frame of zstd is read wherever bodies are."""
    headers = {**ZSTD, "content-type": content_type}
    assert (await client.post(route, content=zstd.compress(body), headers=headers)).status_code == status


async def test_streamed(client: httpx.AsyncClient) -> None:
    """A frame without its size in the header, as streaming compressors write it, is read too."""
    compressor = zstd.ZstdCompressor()
    body = compressor.compress(make.body(make.started())) + compressor.flush()
    assert (await client.post("/v1/events", content=body, headers=ZSTD)).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        zstd.compress(b"{}")[:-1],
        zstd.compress(b"{}") + b"x",
        zstd.compress(b"{}") * 2,
        MAGIC,
        zstd.compress(b"{}" * 500, options={zstd.CompressionParameter.checksum_flag: 1})[:-4] + b"\0\0\0\0",
    ],
    ids=["empty", "plain", "cut off", "followed", "two frames", "magic", "wrong checksum"],
)
async def test_not_one_frame(client: httpx.AsyncClient, body: bytes) -> None:
    """What says zstd and is not exactly one sound frame is refused with 400."""
    answer = await client.post("/v1/events", content=body, headers=ZSTD)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "compression")


async def test_bomb(client: httpx.AsyncClient) -> None:
    """A frame that inflates beyond its ratio or the limit is refused with 413."""
    answer = await client.post("/v1/events", content=zstd.compress(b" " * 50_000_000), headers=ZSTD)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "inflated_too_large")


@pytest.mark.parametrize("compress", [zstd.compress, gzip.compress])
async def test_a_conversation_in_every_span(client: httpx.AsyncClient, compress: Callable[[bytes], bytes]) -> None:
    """What chat spans repeat compresses a hundred and more times, and is no bomb."""
    words = random.Random(1).choices([f"word{number}" for number in range(3_000)], k=8_000)
    history = [" ".join(words[: 80 * turn]) for turn in range(1, 101)]
    chats = [
        spans.span(f"{turn:016x}", spans.ROOT, said={"gen_ai.operation.name": "chat", "gen_ai.input.messages": said})
        for turn, said in enumerate(history, 1)
    ]
    body = spans.protobuf(spans.request(*chats))
    headers = {**spans.PROTOBUF, "content-encoding": "zstd" if compress is zstd.compress else "gzip"}
    assert len(body) > 2_000_000
    assert (await client.post("/v1/traces", content=compress(body), headers=headers)).status_code == 200


async def test_two_layers(client: httpx.AsyncClient) -> None:
    """A second layer is not looked into."""
    body = zstd.compress(zstd.compress(make.body(make.started())))
    assert (await client.post("/v1/events", content=body, headers=ZSTD)).status_code == 400


def frame(window_log: int) -> bytes:
    """A frame that asks for so much history and holds one raw byte."""
    return MAGIC + bytes([0, (window_log - 10) << 3]) + (1 << 3 | 1).to_bytes(3, "little") + b"x"


@pytest.mark.parametrize("window_log", [24, 27, 31])
def test_window(window_log: int) -> None:
    """A header that asks for 16 MiB to 2 GiB of history is refused."""
    with pytest.raises(BadCompressionError):
        inflate(frame(window_log), ContentEncoding.ZSTD, most=1_000_000)


def test_largest_window() -> None:
    """8 MiB of history, the most that RFC 9659 allows, are read."""
    assert inflate(frame(23), ContentEncoding.ZSTD, most=1_000_000) == b"x"
