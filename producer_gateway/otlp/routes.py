"""`POST /v1/traces`, and `/v1/metrics` and `/v1/logs`, of which nothing is kept: how OTLP/HTTP is decoded and answered.

The stages are those of every route, in `api.ingest`.
"""

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from producer_gateway.api.error_handlers import render_with
from producer_gateway.api.ingest import OBJECTS_FACTOR, Ingest
from producer_gateway.api.routes import body_limits
from producer_gateway.events.publish import PublishResult
from producer_gateway.events.validate import Rejection, ValidBatch
from producer_gateway.limits.admission import Ticket
from producer_gateway.limits.turns import in_turns
from producer_gateway.otlp import decode_json, decode_protobuf, responses
from producer_gateway.otlp.complexity_limit import examine_json, examine_protobuf
from producer_gateway.otlp.convert import to_events
from producer_gateway.otlp.other_signals import OtherSignal
from producer_gateway.otlp.reading.digests import Digests
from producer_gateway.otlp.reading.errors import forget_texts
from producer_gateway.otlp.responses import OtlpEncoding
from producer_gateway.otlp.schema import REQUEST
from producer_gateway.otlp.span import DecodedSpans
from producer_gateway.settings import GatewaySettings

_DERIVED: Final = b"agenttracer otlp digests\0"
"""Before the pepper of API keys, which digests of sessions and work are not made with itself."""
_SPAN_BYTES: Final = 1_500
"""The least that a span takes as events and records, measured where each is a run of its own."""
_DECODERS: Final[Mapping[OtlpEncoding, Callable[..., DecodedSpans]]] = {
    OtlpEncoding.PROTOBUF: decode_protobuf.decode,
    OtlpEncoding.JSON: decode_json.decode,
}
_EXAMINERS: Final = {OtlpEncoding.PROTOBUF: examine_protobuf, OtlpEncoding.JSON: examine_json}
_MEDIA: Final[dict[str, Any]] = {
    OtlpEncoding.PROTOBUF: {"schema": {"type": "string", "format": "binary"}},
    OtlpEncoding.JSON: {"schema": {"type": "object"}},
}
ANSWERS: Final[Mapping[int, str]] = {
    200: "every span that `partial_success` does not count as rejected is durable",
    400: "the body is not an ExportTraceServiceRequest, or not compressed as it says",
    401: "no API key, or none that is alive",
    403: "the API key lacks the scope `ingest`",
    408: "the body did not arrive in time",
    413: "the body, what it inflates to, or the number of spans or attributes is too large",
    415: "neither protobuf nor JSON, or an encoding other than one layer of gzip or zstd",
    429: "more than the key may send",
    503: "not durable, or not known to be",
}
"""When which status is answered: the OpenAPI document and docs/otlp-mapping.md say it from here."""
RETRYABLE: Final = frozenset({429, 503})
"""Those after which OTLP's clients send the same again. They come with Retry-After."""


@dataclass(frozen=True, slots=True)
class DecodedTraces:
    """The events of a request's spans."""

    encoding: OtlpEncoding
    batches: Sequence[ValidBatch]
    rejected: Sequence[Rejection]
    dropped: Mapping[str, int]
    left_out: Mapping[str, int]

    def answer(self, _batches: Sequence[ValidBatch], results: Sequence[PublishResult]) -> Response:
        """See DecodedBody. A span that became several events is rejected once."""
        rejected = {each.index: each for each in (*self.rejected, *(each for result in results for each in result.rejected))}
        return responses.exported(self.encoding, rejected=list(rejected.values()))


class TracesDecoder:
    """Decodes `POST /v1/traces` in one of its encodings."""

    def __init__(self, settings: GatewaySettings, encoding: OtlpEncoding) -> None:
        self.accepts = encoding
        self.limits = replace(
            body_limits(settings),
            body_max_bytes=settings.otlp_body_max_bytes,
            receive_timeout_s=settings.otlp_receive_timeout_s,
            inflate_max_ratio=settings.otlp_inflate_max_ratio,
        )
        self.deadline_max_s = settings.otlp_request_deadline_s
        self.limit = _EXAMINERS[encoding]
        self._decode = _DECODERS[encoding]
        self._spans_max = settings.otlp_spans_max
        self._read_errors = settings.read_errors
        pepper = settings.key_pepper
        self._secret = None if pepper is None else hashlib.sha256(_DERIVED + pepper.get_secret_value().encode()).digest()

    async def decode(self, body: bytes, ticket: Ticket) -> DecodedTraces:
        """See Decoder. Spans that are smaller than usual take more memory than was reserved for their body."""
        return await in_turns(self._decoding(body, ticket), ticket)

    def _decoding(self, body: bytes, ticket: Ticket) -> Generator[None, None, DecodedTraces]:
        decoded = self._decode(body, spans_max=self._spans_max)
        ticket.hold(max(0, _SPAN_BYTES * decoded.spans - OBJECTS_FACTOR * len(body)))
        if not self._read_errors:
            forget_texts(decoded)
        yield
        traces = to_events(decoded, None if self._secret is None else Digests(self._secret, ticket.project))
        return DecodedTraces(self.accepts, traces.batches, traces.rejected, traces.dropped, traces.left_out)


@dataclass(frozen=True, slots=True)
class _Discarded:
    """A request of which nothing is kept."""

    encoding: OtlpEncoding
    signal: OtherSignal
    count: int
    batches: Sequence[ValidBatch] = ()
    rejected: Sequence[Rejection] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)

    def answer(self, _batches: Sequence[ValidBatch], _results: Sequence[PublishResult]) -> Response:
        """See DecodedBody."""
        message = f"{self.count} {self.signal.items} discarded: only traces are kept"
        return responses.discarded(self.encoding, member=self.signal.member, count=self.count, message=message)


class DiscardingDecoder:
    """Counts what `POST /v1/metrics` and `/v1/logs` hold, and keeps nothing: exporters of all signals are given one endpoint."""

    def __init__(self, settings: GatewaySettings, encoding: OtlpEncoding, signal: OtherSignal) -> None:
        self.accepts = encoding
        self.limits = replace(
            body_limits(settings),
            body_max_bytes=settings.otlp_body_max_bytes,
            inflate_max_ratio=settings.otlp_inflate_max_ratio,
        )
        self.deadline_max_s = settings.otlp_request_deadline_s
        self._signal = signal

    def limit(self, body: bytes) -> None:
        """See Decoder. No more is made of it than a number."""

    async def decode(self, body: bytes, _ticket: Ticket) -> _Discarded:
        """See Decoder."""
        count = self._signal.count_json if self.accepts is OtlpEncoding.JSON else self._signal.count_protobuf
        return _Discarded(self.accepts, self._signal, count(body))


def otlp_router(ingest: Ingest, settings: GatewaySettings) -> APIRouter:
    """The route that the app includes."""
    router = APIRouter(prefix="/v1", tags=["ingest"])
    decoders = {encoding: TracesDecoder(settings, encoding) for encoding in OtlpEncoding}

    @router.post(
        "/traces",
        summary="Spans from any OpenTelemetry exporter (OTLP/HTTP)",
        responses={status: {"description": _described(status), "content": _MEDIA} for status in ANSWERS},
        openapi_extra={"requestBody": {"required": True, "content": {**_MEDIA, OtlpEncoding.JSON: {"schema": REQUEST}}}},
    )
    async def post_traces(request: Request) -> Response:
        """Answers 200 once every accepted span is durable. Spans become runs and steps; their content is never read."""
        return await ingest.accept(request, decoders[_encoding(request)])

    metrics = {encoding: DiscardingDecoder(settings, encoding, OtherSignal.METRICS) for encoding in OtlpEncoding}
    logs = {encoding: DiscardingDecoder(settings, encoding, OtherSignal.LOGS) for encoding in OtlpEncoding}

    @router.post("/metrics", include_in_schema=False)
    async def post_metrics(request: Request) -> Response:
        """Answers 200 to an exporter that sends metrics where traces go. Nothing is kept, which the answer says."""
        return await ingest.accept(request, metrics[_encoding(request)])

    @router.post("/logs", include_in_schema=False)
    async def post_logs(request: Request) -> Response:
        """As `post_metrics`."""
        return await ingest.accept(request, logs[_encoding(request)])

    return router


def _described(status: int) -> str:
    message = "ExportTraceServiceResponse" if status == HTTPStatus.OK else "google.rpc.Status"
    again = "; send the same again after Retry-After seconds" if status in RETRYABLE else ""
    return f"{message}: {ANSWERS[status]}{again}."


def _encoding(request: Request) -> OtlpEncoding:
    """The encoding of the request, in which errors are answered from here on. JSON where its media type is neither of OTLP's."""
    encoding = responses.encoding_of(request.headers.get("content-type", ""))
    render_with(request, partial(responses.refused, encoding))
    return encoding
