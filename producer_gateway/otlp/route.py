"""`POST /v1/traces`: OTLP/HTTP by the same path as the other routes, and OTLP's own answers."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from producer_gateway.answer_errors import render_with
from producer_gateway.errors import GatewayError, WrongContentTypeError
from producer_gateway.otlp import answer, decode_json, decode_protobuf
from producer_gateway.otlp.answer import Encoding
from producer_gateway.otlp.density import examine_json, examine_protobuf
from producer_gateway.otlp.document import REQUEST
from producer_gateway.otlp.errors import TracesOnlyError
from producer_gateway.otlp.span import Decoded
from producer_gateway.otlp.trace import to_events
from producer_gateway.routes import Ingest

_DECODERS: Final[Mapping[Encoding, Callable[..., Decoded]]] = {
    Encoding.PROTOBUF: decode_protobuf.decode,
    Encoding.JSON: decode_json.decode,
}
_EXAMINERS: Final = {Encoding.PROTOBUF: examine_protobuf, Encoding.JSON: examine_json}
_MEDIA: Final[dict[str, Any]] = {
    Encoding.PROTOBUF: {"schema": {"type": "string", "format": "binary"}},
    Encoding.JSON: {"schema": {"type": "object"}},
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
_OTHER_SIGNALS: Final = frozenset({"/v1/metrics", "/v1/logs"})
RETRYABLE: Final = frozenset({429, 503})
"""Those after which OTLP's clients send the same again. They come with Retry-After."""


def otlp_router(ingest: Ingest) -> APIRouter:
    """The route that the app includes."""
    router = APIRouter(prefix="/v1", tags=["ingest"])

    @router.post(
        "/traces",
        summary="Spans from any OpenTelemetry exporter (OTLP/HTTP)",
        responses={status: {"description": _described(status), "content": _MEDIA} for status in ANSWERS},
        openapi_extra={"requestBody": {"required": True, "content": {**_MEDIA, Encoding.JSON: {"schema": REQUEST}}}},
    )
    async def post_traces(request: Request) -> Response:
        """Answers 200 once every accepted span is durable. Spans become runs and steps; their content is never read."""
        deadline = ingest.deadline(request)
        media_type, encoding = _encoding(request)
        caller = ingest.authenticate(request)
        with ingest.admit(caller) as ticket:
            if media_type != encoding:
                raise WrongContentTypeError
            body = await ingest.receive(
                request, ticket, caller, accepts=encoding, examine=_EXAMINERS[encoding], limits=ingest.otlp_limits
            )
            deadline = ingest.moved_by_body(deadline)
            decoded = _DECODERS[encoding](body, spans_max=ingest.settings.otlp_spans_max)
            ingest.hold_spans(ticket, decoded.spans, of_bytes=len(body))
            traces = to_events(decoded)
            del body, decoded  # as events they are large enough while the log is waited for
            capped = [ingest.cap_names(each, caller) for each in traces.checked]
            outcomes = await ingest.publish_each(capped, rejected=len(traces.rejected), caller=caller, deadline=deadline)
        ingest.count_spans(traces.rejected, caller=caller, dropped=traces.dropped, left_out=traces.left_out)
        rejected = {each.index: each for each in (*traces.rejected, *(each for outcome in outcomes for each in outcome.rejected))}
        reasons = Counter(f"{each.field or 'span'} {each.code}" for each in rejected.values())
        return answer.exported(encoding, rejected=len(rejected), reasons=reasons)

    return router


def why_not_found(request: Request) -> GatewayError | None:
    """To exporters of metrics and logs, which OTEL_EXPORTER_OTLP_ENDPOINT sends here as well: what to set, in OTLP's words."""
    if request.scope["path"] not in _OTHER_SIGNALS:
        return None
    _encoding(request)
    return TracesOnlyError()


def _described(status: int) -> str:
    message = "ExportTraceServiceResponse" if status == HTTPStatus.OK else "google.rpc.Status"
    again = "; send the same again after Retry-After seconds" if status in RETRYABLE else ""
    return f"{message}: {ANSWERS[status]}{again}."


def _encoding(request: Request) -> tuple[str, Encoding]:
    """The media type, and the encoding in which errors are answered from here on."""
    content_type = request.headers.get("content-type", "")
    encoding = answer.encoding_of(content_type)
    render_with(request, partial(answer.refused, encoding))
    return answer.media_type_of(content_type), encoding
