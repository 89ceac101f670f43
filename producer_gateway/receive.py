"""Bytes in: reads and inflates one request body within its limits. What the bytes mean is not known here.

Every limit is applied while bytes arrive, never after: size on the wire, size and ratio when inflated, time, and the
budget of what all requests together may hold.
"""

import asyncio
import zlib
from dataclasses import dataclass
from typing import Final

from starlette.requests import ClientDisconnect, Request

from producer_gateway.admission import Ticket
from producer_gateway.errors import (
    BadCompressionError,
    BodyTooLargeError,
    ClientGoneError,
    SlowBodyError,
    UnknownEncodingError,
    WrongContentTypeError,
)

_GZIP_WBITS: Final = 31  # zlib's code for exactly a gzip wrapper
_RATIO_FREE_BYTES: Final = 64 * 1024  # small bodies are cheap at any ratio, and headers distort theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one body may take."""

    body_max_bytes: int
    inflated_max_bytes: int
    inflate_max_ratio: int
    receive_timeout_s: float


async def receive(request: Request, *, limits: Limits, ticket: Ticket, accepts: str) -> bytes:
    """The body, inflated, of the media type `accepts`. Raises RefusedError, OverloadedError, ClientGoneError."""
    gzipped = _is_gzip(request)
    _check_content_type(request, accepts=accepts)
    body = await _read(request, limits=limits, ticket=ticket)
    return _inflate(body, limits=limits, ticket=ticket) if gzipped else body


def _is_gzip(request: Request) -> bool:
    encodings = request.headers.getlist("content-encoding")
    encoding = encodings[0].strip().lower() if encodings else "identity"
    if len(encodings) > 1 or encoding not in {"", "identity", "gzip", "x-gzip"}:
        raise UnknownEncodingError
    return encoding.endswith("gzip")


def _check_content_type(request: Request, *, accepts: str) -> None:
    # A page in a browser can post text or a form to this machine without asking; it cannot post JSON or protobuf.
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != accepts:
        raise WrongContentTypeError


async def _read(request: Request, *, limits: Limits, ticket: Ticket) -> bytes:
    if _declared(request) > limits.body_max_bytes:
        raise BodyTooLargeError
    chunks: list[bytes] = []
    received = 0
    try:
        async with asyncio.timeout(limits.receive_timeout_s):
            async for chunk in request.stream():
                received += len(chunk)
                if received > limits.body_max_bytes:
                    raise BodyTooLargeError
                ticket.hold(len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        raise SlowBodyError from None
    except ClientDisconnect:
        raise ClientGoneError from None
    return b"".join(chunks)


def _declared(request: Request) -> int:
    """The Content-Length, 0 without one. Only ever a reason to refuse early: what arrives is counted anyway."""
    digits = request.headers.get("content-length", "")
    return int(digits[:18]) if digits.isascii() and digits.isdigit() else 0


def _inflate(body: bytes, *, limits: Limits, ticket: Ticket) -> bytes:
    most = min(limits.inflated_max_bytes, len(body) * limits.inflate_max_ratio + _RATIO_FREE_BYTES)
    inflater = zlib.decompressobj(wbits=_GZIP_WBITS)
    try:
        inflated = inflater.decompress(body, most + 1)
    except zlib.error:
        raise BadCompressionError from None
    if len(inflated) > most:
        raise BodyTooLargeError(code="inflated_too_large")
    if inflater.unused_data or not inflater.eof:
        raise BadCompressionError
    ticket.hold(len(inflated))
    return inflated
