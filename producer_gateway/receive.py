"""Bytes in: reads and inflates one request body within its limits. What the bytes mean is not known here.

Every limit is applied while bytes arrive, never after: size on the wire, size and ratio when inflated, time, and the
budget of what all requests together may hold.
"""

import asyncio
import time
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from producer_gateway.admission import Ticket
from producer_gateway.arrival import begun_at, has_arrived
from producer_gateway.errors import (
    BodyTooLargeError,
    ClientGoneError,
    SlowBodyError,
    WrongContentTypeError,
)
from producer_gateway.inflate import Encoding, encoding_of, inflate


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one body may take."""

    body_max_bytes: int
    inflated_max_bytes: int
    inflate_max_ratio: int
    receive_timeout_s: float


async def receive(request: Request, *, limits: Limits, ticket: Ticket, accepts: str) -> bytes:
    """The body, inflated, of the media type `accepts`. Raises RefusedError, OverloadedError, ClientGoneError."""
    encoding = encoding_of(request.headers.getlist("content-encoding"))
    _check_content_type(request, accepts=accepts)
    body = await _read(request, limits=limits, ticket=ticket)
    if encoding is Encoding.IDENTITY:
        return body
    inflated = inflate(body, encoding, max_bytes=limits.inflated_max_bytes, max_ratio=limits.inflate_max_ratio)
    ticket.hold(len(inflated))
    return inflated


def _check_content_type(request: Request, *, accepts: str) -> None:
    # A page in a browser can post text or a form to this machine without asking; it cannot post JSON or protobuf.
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != accepts:
        raise WrongContentTypeError


async def _read(request: Request, *, limits: Limits, ticket: Ticket) -> bytes:
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


async def _collect(request: Request, *, limits: Limits, ticket: Ticket) -> bytes:
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
