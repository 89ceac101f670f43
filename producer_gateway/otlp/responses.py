"""OTLP's answers, in the request's encoding: ExportTraceServiceResponse, or google.rpc.Status for what is refused.

Written by hand, since both are two fields long: a numbered field is a tag byte, then a varint or a length and UTF-8.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from producer_gateway.events.validate import Rejection
from producer_gateway.rules import in_words

_INVALID_ARGUMENT: Final = 3
_INTERNAL: Final = 13
_BY_STATUS: Final[Mapping[int, int]] = {401: 16, 403: 7, 404: 12, 429: 8, 503: 14}
"""UNAUTHENTICATED, PERMISSION_DENIED, UNIMPLEMENTED, RESOURCE_EXHAUSTED, UNAVAILABLE."""
_VARINT, _BYTES = 0, 2
_VARINT_BITS: Final = 7


class OtlpEncoding(StrEnum):
    """Media types of OTLP/HTTP."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


def exported(encoding: OtlpEncoding, *, rejected: Sequence[Rejection]) -> Response:
    """All is durable, but for `rejected` spans that never will be: the message counts them by field, rule in words, and code."""
    message = "; ".join(f"{_spans(count)}: {reason}" for reason, count in sorted(Counter(map(_reason, rejected)).items()))
    if encoding is OtlpEncoding.JSON:
        partial = {"partialSuccess": {"rejectedSpans": str(len(rejected)), "errorMessage": message}} if rejected else {}
        return Response(json.dumps(partial, separators=(",", ":")), media_type=encoding)
    body = field(1, field(1, len(rejected)) + field(2, message)) if rejected else b""
    return Response(body, media_type=encoding)


def discarded(encoding: OtlpEncoding, *, member: str, count: int, message: str) -> Response:
    """Nothing of it is kept: the answer to a signal other than traces. `member` counts its items in JSON."""
    if encoding is OtlpEncoding.JSON:
        partial = {"partialSuccess": {member: str(count), "errorMessage": message}} if count else {}
        return Response(json.dumps(partial, separators=(",", ":")), media_type=encoding)
    body = field(1, field(1, count) + field(2, message)) if count else b""
    return Response(body, media_type=encoding)


def _reason(rejection: Rejection) -> str:
    field = rejection.field or "span"
    words = in_words(field, rejection.code)
    return f"{field} {words} ({rejection.code})" if words else f"{field} {rejection.code}"


def _spans(count: int) -> str:
    return "1 span" if count == 1 else f"{count} spans"


def refused(encoding: OtlpEncoding, *, status: int, message: str, headers: Mapping[str, str]) -> Response:
    """A google.rpc.Status, as a whole answer."""
    body = status_body(encoding, status=status, message=message)
    return Response(body, status_code=status, headers=dict(headers), media_type=encoding)


def status_body(encoding: OtlpEncoding, *, status: int, message: str) -> bytes:
    """A google.rpc.Status."""
    code = _code(status)
    if encoding is OtlpEncoding.JSON:
        return json.dumps({"code": code, "message": message}, separators=(",", ":")).encode()
    return field(1, code) + field(2, message)


def encoding_of(content_type: str) -> OtlpEncoding:
    """In which errors are answered: JSON where the type is neither of OTLP's."""
    known = {str(each): each for each in OtlpEncoding}
    return known.get(content_type.partition(";")[0].strip().lower(), OtlpEncoding.JSON)


def _code(status: int) -> int:
    """Clients decide by the HTTP status; this is the same in gRPC's words."""
    return _BY_STATUS.get(status, _INVALID_ARGUMENT if status < HTTPStatus.INTERNAL_SERVER_ERROR else _INTERNAL)


def field(number: int, value: int | str | bytes) -> bytes:
    """One field of a message in protobuf, by a number below 16."""
    if isinstance(value, int):
        return bytes([number << 3 | _VARINT]) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | _BYTES]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    low = value & 0x7F
    rest = value >> _VARINT_BITS
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
