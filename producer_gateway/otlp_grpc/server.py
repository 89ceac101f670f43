"""The gRPC door: `Export` of traces, metrics and logs, in one process. Decoding, keys, limits and publishing are those of HTTP.

Messages come in as bytes and compressed as they were sent: gRPC would inflate them without a bound.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
from grpc import aio

from producer_gateway.api.error_handlers import with_jitter
from producer_gateway.api.ingest import Decoder, Ingest
from producer_gateway.errors import ClientGoneError
from producer_gateway.limits.decompress import ContentEncoding
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.otlp.other_signals import OtherSignal
from producer_gateway.otlp.responses import OtlpEncoding
from producer_gateway.otlp.routes import DiscardingDecoder, TracesDecoder
from producer_gateway.otlp_grpc.answers import refusal
from producer_gateway.settings import GatewaySettings
from servicekit.http.errors import HttpError, UnavailableError
from servicekit.http.tls import Tls
from servicekit.logs import Log, error_class

_LOG: Final = Log("gateway")
_PACKAGE: Final = "opentelemetry.proto.collector"
_GZIP_MAGIC: Final = b"\x1f\x8b"
"""A message in protobuf begins with a tag, which is never this one: field 3 of a group's wire type that no parser takes."""
_LOOPBACK: Final = (b"host", b"localhost")
_CALLS_FACTOR: Final = 2
"""Calls at a time, of the requests that may be in flight: the gateway's own answer, which clients try again, comes first."""
_STREAMS_MAX: Final = 100
"""Calls at a time on one connection, as HTTP/2 suggests."""


class GrpcDoor:
    """A server on a port of its own. It takes calls from `start` on, and none after `stop`."""

    def __init__(self, settings: GatewaySettings, ingest: Ingest, metrics: GatewayMetrics) -> None:
        self._settings = settings
        self._ingest = ingest
        self._metrics = metrics
        self._server: aio.Server | None = None
        self.port = 0

    async def start(self, port: int) -> None:
        """Listen. Raises OSError where the port is taken, ValueError where certificate or key are none."""
        server = aio.server(
            options=_options(self._settings), maximum_concurrent_rpcs=_CALLS_FACTOR * self._settings.in_flight_max_requests
        )
        server.add_generic_rpc_handlers(list(self._handlers()))
        address = f"[{self._settings.host}]:{port}" if ":" in self._settings.host else f"{self._settings.host}:{port}"
        try:
            self.port = _listen(server, address, self._settings.tls)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}") from error
        await server.start()
        self._server = server
        _LOG.info("grpc_listening", port=self.port)

    async def stop(self) -> None:
        """Refuse new calls, and let those in flight end: none takes longer than its deadline."""
        if self._server is not None:
            await self._server.stop(self._settings.otlp_request_deadline_s)

    def _handlers(self) -> Sequence[grpc.GenericRpcHandler]:
        decoders: Mapping[str, Decoder] = {
            "trace.v1.TraceService": TracesDecoder(self._settings, OtlpEncoding.PROTOBUF),
            "metrics.v1.MetricsService": DiscardingDecoder(self._settings, OtlpEncoding.PROTOBUF, OtherSignal.METRICS),
            "logs.v1.LogsService": DiscardingDecoder(self._settings, OtlpEncoding.PROTOBUF, OtherSignal.LOGS),
        }
        return [
            grpc.method_handlers_generic_handler(
                f"{_PACKAGE}.{service}",
                {"Export": grpc.stream_unary_rpc_method_handler(_Export(self._ingest, decoder, self._refuse).call)},
            )
            for service, decoder in decoders.items()
        ]

    async def _refuse(self, context: Any, error: HttpError) -> None:  # noqa: ANN401 - grpc's class takes two parameters of no use
        self._metrics.requests_refused.labels(error.error_code).inc()
        wait_s = (
            int(with_jitter(self._settings.retry_after_s, after_s=error.least_s)) if isinstance(error, UnavailableError) else None
        )
        answer = refusal(error, wait_s=wait_s)
        await context.abort(answer.code, answer.message, answer.trailers)


class _Export:
    """The method of one service. To gRPC it takes a stream, of which it reads one message: so keys are looked at before it."""

    def __init__(self, ingest: Ingest, decoder: Decoder, refuse: Any) -> None:  # noqa: ANN401 - as above
        self._ingest = ingest
        self._decoder = decoder
        self._refuse = refuse

    async def call(self, messages: AsyncIterator[bytes], context: Any) -> bytes:  # noqa: ANN401 - as above
        """The answer in protobuf, or the call is refused."""
        headers = [*((name.encode(), _bytes(value)) for name, value in context.invocation_metadata() or ()), _LOOPBACK]
        refused: HttpError
        try:
            answer = await self._ingest.accept_message(headers, partial(_first, messages), self._decoder)
        except HttpError as error:
            refused = error
        except Exception as error:  # noqa: BLE001 - gRPC would log it with the values in it
            _LOG.error("unexpected_error", error_class=error_class(error))
            refused = HttpError("Internal Server Error.")
        else:
            return bytes(answer.body)
        await self._refuse(context, refused)
        return b""


async def _first(messages: AsyncIterator[bytes]) -> tuple[bytes, ContentEncoding]:
    """The only message of the call. Raises ClientGoneError where there is none."""
    async for message in messages:
        return message, ContentEncoding.GZIP if message.startswith(_GZIP_MAGIC) else ContentEncoding.IDENTITY
    raise ClientGoneError


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1", errors="replace")


def _options(settings: GatewaySettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.otlp_body_max_bytes),
        ("grpc.max_concurrent_streams", _STREAMS_MAX),
        ("grpc.max_metadata_size", settings.head_max_bytes),
        ("grpc.absolute_max_metadata_size", settings.head_max_bytes),
        ("grpc.max_connection_idle_ms", int(settings.idle_timeout_s * 1_000)),
        ("grpc.so_reuseport", int(settings.reuse_port)),
        ("grpc.per_message_decompression", 0),
        ("grpc.per_message_compression", 0),
    ]


def _listen(server: aio.Server, address: str, tls: Tls) -> int:
    if tls.cert_file is None or tls.key_file is None:
        return int(server.add_insecure_port(address))
    pair = Path(tls.key_file).read_bytes(), Path(tls.cert_file).read_bytes()
    return int(server.add_secure_port(address, grpc.ssl_server_credentials([pair])))
