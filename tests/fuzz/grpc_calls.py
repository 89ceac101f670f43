"""Sends mutated messages over gRPC to a gateway in this process; holds answers and records against what is promised."""

from collections import Counter
from collections.abc import Callable
from typing import Final

import grpc
from grpc import aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from producer_gateway.metrics import GatewayMetrics
from producer_gateway.otlp_grpc.server import GrpcDoor
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from tests.fuzz.bodies import message
from tests.fuzz.gateway import BrokenPromiseError, Result, _check_record, open_gateway

METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
EXPECTED: Final = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}
_EVERY: Final = 1_000


async def fuzz_grpc(
    count: int, *, seed: int, first: int = 0, progress: Callable[[int, Result], None] = lambda *_: None
) -> Result:
    """Send `count` messages from index `first`. Raises BrokenPromiseError at the first that breaks a promise."""
    settings, log, result = GatewaySettings(), MemoryRecordLog(), Result()
    app, key = await open_gateway(settings, log)
    door = GrpcDoor(settings, app.state.ingest, GatewayMetrics())
    await door.start(0)
    codes: Counter[grpc.StatusCode] = Counter()
    async with aio.insecure_channel(f"127.0.0.1:{door.port}") as channel:
        call = channel.unary_unary(METHOD)
        for index in range(first, first + count):
            code, answer = await _sent(call, message(seed, index), key)
            try:
                assert code in EXPECTED, code
                ExportTraceServiceResponse.FromString(answer)
                events = sum(_check_record(each) for each in log.messages)
                assert events == 0 or code is grpc.StatusCode.OK
            except Exception as error:
                raise BrokenPromiseError(f"python -m tests.fuzz 1 --grpc --seed {seed} --first {index}\n{error!r}") from error
            codes[code] += 1
            result.records += len(log.messages)
            log.messages.clear()
            if (index + 1) % _EVERY == 0:
                progress(index + 1 - first, result)
    await door.stop()
    result.statuses.update({("gRPC", code.value[0]): number for code, number in codes.items()})
    return result


async def _sent(call: aio.UnaryUnaryMultiCallable, content: bytes, key: str) -> tuple[grpc.StatusCode, bytes]:
    try:
        return grpc.StatusCode.OK, await call(content, metadata=(("x-api-key", key),), timeout=30)
    except aio.AioRpcError as error:
        return error.code(), b""
