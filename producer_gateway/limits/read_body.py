"""Reads and inflates one request body within its limits. The meaning of the bytes is not known here.

Every limit is applied while bytes arrive, never after: size on the wire, size and ratio when inflated, time, and the
budget of what all requests together may hold.
"""

import asyncio
import time
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from producer_gateway.errors import (
    BodyTooLargeError,
    ClientGoneError,
    WrongContentTypeError,
)
from producer_gateway.limits.admission import Ticket
from producer_gateway.limits.decompress import ContentEncoding, encoding_of, inflate, inflated_most
from servicekit.http.body_state import begun_at, has_arrived
from servicekit.http.errors import SlowBodyError


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """The limits of one body."""

    body_max_bytes: int
    inflated_max_bytes: int
    inflate_max_ratio: int
    receive_timeout_s: float


async def read_body(request: Request, *, limits: BodyLimits, ticket: Ticket, accepts: str) -> bytes:
    """The body, inflated, of the media type `accepts`. Raises RefusedError, OverloadedError, ClientGoneError."""
    encoding = encoding_of(request.headers.getlist("content-encoding"))
    _check_content_type(request, accepts=accepts)
    body = await _read(request, limits=limits, ticket=ticket)
    return unpacked(body, encoding, limits=limits, ticket=ticket)


def unpacked(body: bytes, encoding: ContentEncoding, *, limits: BodyLimits, ticket: Ticket) -> bytes:
    """A body that has arrived, inflated. Raises BadCompressionError, BodyTooLargeError, OverloadedError."""
    if encoding is ContentEncoding.IDENTITY:
        return body
    most = inflated_most(body, max_bytes=limits.inflated_max_bytes, max_ratio=limits.inflate_max_ratio)
    try:
        inflated = inflate(body, encoding, most=most)
    except BodyTooLargeError:
        ticket.inflated = most
        raise
    ticket.inflated = len(inflated)
    ticket.hold(len(inflated))
    return inflated


def _check_content_type(request: Request, *, accepts: str) -> None:
    # A page in a browser can post text or a form to this machine without asking; it cannot post JSON or protobuf.
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != accepts:
        raise WrongContentTypeError


async def _read(request: Request, *, limits: BodyLimits, ticket: Ticket) -> bytes:
    if _declared(request) > limits.body_max_bytes:
        raise BodyTooLargeError
    try:
        if has_arrived(request.scope):
            return await _collect(request, limits=limits, ticket=ticket)
        left_s = begun_at(request.scope) + limits.receive_timeout_s - time.monotonic()
        async with asyncio.timeout(max(0.0, left_s)):
            return await _collect(request, limits=limits, ticket=ticket)
    except TimeoutError:
        raise SlowBodyError from None
    except ClientDisconnect:
        raise ClientGoneError from None


async def _collect(request: Request, *, limits: BodyLimits, ticket: Ticket) -> bytes:
    chunks: list[bytes] = []
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        ticket.received = received
        if received > limits.body_max_bytes:
            raise BodyTooLargeError
        ticket.hold(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)


def _declared(request: Request) -> int:
    """The Content-Length, 0 without one. Only ever a reason to refuse early: what arrives is counted anyway."""
    digits = request.headers.get("content-length", "")
    return int(digits[:18]) if digits.isascii() and digits.isdigit() else 0
