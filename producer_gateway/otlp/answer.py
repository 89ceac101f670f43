"""OTLP's answers, in the request's encoding: ExportTraceServiceResponse, or google.rpc.Status for what is refused.

Written by hand, since both are two fields long: a numbered field is a tag byte, then a varint or a length and UTF-8.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

_INVALID_ARGUMENT: Final = 3
_INTERNAL: Final = 13
_BY_STATUS: Final[Mapping[int, int]] = {401: 16, 403: 7, 404: 12, 429: 8, 503: 14}
"""UNAUTHENTICATED, PERMISSION_DENIED, UNIMPLEMENTED, RESOURCE_EXHAUSTED, UNAVAILABLE."""
_VARINT, _BYTES = 0, 2
_VARINT_BITS: Final = 7


class Encoding(StrEnum):
    """Media types of OTLP/HTTP."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


def exported(encoding: Encoding, *, rejected: int, reasons: Mapping[str, int]) -> Response:
    """All is durable, but for `rejected` spans that never will be. `reasons` counts them by field and rule of ours."""
    message = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
    if encoding is Encoding.JSON:
        partial = {"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}} if rejected else {}
        return Response(json.dumps(partial, separators=(",", ":")), media_type=encoding)
    body = _field(1, _field(1, rejected) + _field(2, message)) if rejected else b""
    return Response(body, media_type=encoding)


def refused(encoding: Encoding, *, status: int, message: str, headers: Mapping[str, str]) -> Response:
    """A google.rpc.Status, as a whole answer."""
    body = status_body(encoding, status=status, message=message)
    return Response(body, status_code=status, headers=dict(headers), media_type=encoding)


def status_body(encoding: Encoding, *, status: int, message: str) -> bytes:
    """A google.rpc.Status."""
    code = _code(status)
    if encoding is Encoding.JSON:
        return json.dumps({"code": code, "message": message}, separators=(",", ":")).encode()
    return _field(1, code) + _field(2, message)


def media_type_of(content_type: str) -> str:
    """Without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def encoding_of(content_type: str) -> Encoding:
    """In which errors are answered: JSON where the type is neither of OTLP's."""
    known = {str(each): each for each in Encoding}
    return known.get(media_type_of(content_type), Encoding.JSON)


def _code(status: int) -> int:
    """Clients decide by the HTTP status; this is the same in gRPC's words."""
    return _BY_STATUS.get(status, _INVALID_ARGUMENT if status < HTTPStatus.INTERNAL_SERVER_ERROR else _INTERNAL)


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3 | _VARINT]) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | _BYTES]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    low = value & 0x7F
    rest = value >> _VARINT_BITS
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
