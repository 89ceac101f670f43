"""The way of every accepted request, as one ordered list of stages. Routes differ by how they decode a body, and by nothing else.

authenticate → admit → read → limit → decode → lock → charge → publish, within one deadline.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from producer_gateway.errors import LogUnavailableError, RateLimitedError, TooManyMisfitsError
from producer_gateway.events.project_metrics import ProjectMetrics
from producer_gateway.events.publish import Publisher, PublishResult
from producer_gateway.events.validate import Rejection, ValidBatch
from producer_gateway.kafka.record_log import RecordLog
from producer_gateway.limits.admission import Admission, Ticket
from producer_gateway.limits.decompress import ContentEncoding
from producer_gateway.limits.rate_limit import RateLimit
from producer_gateway.limits.read_body import BodyLimits, read_body, unpacked
from producer_gateway.limits.turns import in_turns
from producer_gateway.metrics import GatewayMetrics
from producer_gateway.names.judge import NameJudge
from producer_gateway.settings import GatewaySettings
from servicekit.auth.authenticate import Authenticator
from servicekit.auth.keys import Caller
from servicekit.http.body_state import begun_at
from servicekit.http.errors import SlowBodyError

OBJECTS_FACTOR: Final = 4
"""Bytes that a byte of a real body takes as objects and records, together and at the most: measured 2 to 4."""
EVENTS_PER_WORK_S: Final = 40_000
"""A second of the processor costs as many events, where a body has fewer: about as many as spans of usual traffic take. With the
default rate one project has half of a process at the most, whatever it sends."""
_UNSIZED_BYTES: Final = 1024 * 1024
Receive = Callable[[], Awaitable[tuple[bytes, ContentEncoding]]]
"""Gives a message as it was sent, and how it is compressed."""


class DecodedBody(Protocol):
    """The events of a body, and what was lost on the way to them."""

    @property
    def batches(self) -> Sequence[ValidBatch]:
        """One a producer."""

    @property
    def rejected(self) -> Sequence[Rejection]:
        """Items that became no event."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """Values lost before there were batches, by rule."""

    @property
    def left_out(self) -> Mapping[str, int]:
        """Attributes that the mapping has no target for, by class of name."""

    def answer(self, batches: Sequence[ValidBatch], results: Sequence[PublishResult]) -> Response:
        """The answer, from the batches as they were published. Raises UnprocessableError where nothing at all was accepted."""


class Decoder(Protocol):
    """Makes batches of the bodies of one route and media type: all that routes differ in."""

    @property
    def accepts(self) -> str:
        """The media type."""

    @property
    def limits(self) -> BodyLimits:
        """Sizes and times of a body."""

    @property
    def deadline_max_s(self) -> float:
        """From a request's beginning to its answer, at the most, where the body took its time to arrive."""

    def limit(self, body: bytes) -> None:
        """Refuse a body that would take far more memory than its size says. Raises RefusedError."""

    async def decode(self, body: bytes, ticket: Ticket) -> DecodedBody:
        """The events of a body. One that takes long lets other requests have the loop in between.

        Raises RefusedError; OverloadedError where more has to be reserved of `ticket` and there is no room.
        """


class Ingest:
    """The stages. `clock_us` is the wall clock, in microseconds."""

    def __init__(
        self,
        settings: GatewaySettings,
        record_log: RecordLog,
        *,
        authenticator: Authenticator,
        names: NameJudge,
        admission: Admission,
        metrics: GatewayMetrics,
        clock_us: Callable[[], int],
    ) -> None:
        self._deadline_s = settings.request_deadline_s
        self._authenticator = authenticator
        self._names = names
        self._log = record_log
        self._metrics = metrics
        self._admission = admission
        self._event_rate = RateLimit(per_s=settings.rate_events_per_s, burst_s=settings.rate_burst_s)
        self._byte_rate = RateLimit(per_s=settings.rate_bytes_per_s, burst_s=settings.rate_burst_s)
        self._projects = ProjectMetrics(projects_max=settings.projects_shown_max, registry=metrics.registry)
        self._publisher = Publisher(record_log, record_max_bytes=settings.record_max_bytes, clock_us=clock_us, metrics=metrics)

    async def accept(self, request: Request, decoder: Decoder) -> Response:
        """The answer, once every accepted event is durable. Raises HttpError where nothing was accepted, or it is not known."""
        began = begun_at(request.scope)
        caller = self._authenticator.caller(request.scope["headers"])
        with self._projects.request(caller.project), self._admit(caller) as ticket:
            return await self._take(await self._read(request, decoder, ticket, caller), decoder, ticket, caller, began=began)

    async def accept_message(self, headers: Sequence[tuple[bytes, bytes]], receive: Receive, decoder: Decoder) -> Response:
        """As `accept`, of a message that comes whole and by another protocol than HTTP/1.1."""
        began = time.monotonic()
        caller = self._authenticator.caller(headers)
        with self._projects.request(caller.project), self._admit(caller) as ticket:
            return await self._take(await self._received(receive, decoder, ticket, caller), decoder, ticket, caller, began=began)

    async def _received(self, receive: Receive, decoder: Decoder, ticket: Ticket, caller: Caller) -> bytes:
        """The message, inflated. Its size is not known before it is there: a usual one's is held until then."""
        ticket.hold(_UNSIZED_BYTES)
        try:
            async with asyncio.timeout(decoder.limits.receive_timeout_s):
                message, encoding = await receive()
        except TimeoutError:
            raise SlowBodyError from None
        ticket.received = len(message)
        ticket.give_back(_UNSIZED_BYTES)
        ticket.hold(len(message))
        try:
            body = unpacked(message, encoding, limits=decoder.limits, ticket=ticket)
        finally:
            self._charge_bytes(ticket, caller)
        self._projects.received(caller.project, len(body))
        ticket.enter()
        return body

    async def _take(self, body: bytes, decoder: Decoder, ticket: Ticket, caller: Caller, *, began: float) -> Response:
        """From a whole body to its answer."""
        decoder.limit(body)
        ticket.hold(OBJECTS_FACTOR * len(body))
        self._metrics.body_bytes.inc(len(body))
        deadline = self._deadline(began, decoder)
        decoded, batches = await self._decode(decoder, body, ticket, caller)
        del body  # as objects it is large enough while the log is waited for
        results = await self._publish(batches, caller, deadline)
        self._count_losses(decoded, caller)
        return decoded.answer(batches, results)

    def _admit(self, caller: Caller) -> Ticket:
        """The reservation of the request, for a `with` block. Raises UnavailableError where it is not to be taken now."""
        reason = self._log.unready()
        if reason is not None:
            raise LogUnavailableError(code=reason)
        self._names.refuse_unready(caller.project)
        _refuse_above(caller, self._event_rate, self._byte_rate)
        return self._admission.admit(caller.project)

    async def _read(self, request: Request, decoder: Decoder, ticket: Ticket, caller: Caller) -> bytes:
        """The body, inflated. Raises RefusedError, OverloadedError, ClientGoneError."""
        try:
            body = await read_body(request, limits=decoder.limits, ticket=ticket, accepts=decoder.accepts)
        finally:  # what is refused has been sent all the same
            self._charge_bytes(ticket, caller)
        self._projects.received(caller.project, len(body))
        ticket.enter()
        return body

    async def _decode(
        self, decoder: Decoder, body: bytes, ticket: Ticket, caller: Caller
    ) -> tuple[DecodedBody, Sequence[ValidBatch]]:
        """The events of the body, charged before any is published: a request is accepted whole or not at all.

        What is refused has cost its time all the same. Raises RefusedError, RateLimitedError, OverloadedError.
        """
        events = 0
        try:
            decoded = await decoder.decode(body, ticket)
            batches = [await in_turns(self._names.judging(each, caller.project), ticket) for each in decoded.batches]
            _refuse_above(caller, self._event_rate)
            events = _cost(batches, decoded)
        except TooManyMisfitsError as error:
            events = error.examined
            raise
        finally:
            self._event_rate.charge(caller.project, max(events, EVENTS_PER_WORK_S * ticket.work_s), now=time.monotonic())
        return decoded, batches

    def _deadline(self, began: float, decoder: Decoder) -> float:
        """When the request must be answered (monotonic, s).

        The time that a body took to arrive is not taken from the time to produce in, up to the decoder's limit.
        """
        return max(began + self._deadline_s, min(began + decoder.deadline_max_s, time.monotonic() + self._deadline_s))

    def _charge_bytes(self, ticket: Ticket, caller: Caller) -> None:
        """What was received, or inflated where that is more."""
        self._byte_rate.charge(caller.project, max(ticket.received, ticket.inflated), now=time.monotonic())

    async def _publish(self, batches: Sequence[ValidBatch], caller: Caller, deadline: float) -> Sequence[PublishResult]:
        """Raises LogUnavailableError at the deadline."""
        timeout_s = max(0.0, deadline - time.monotonic())
        results = await self._publisher.publish(batches, project=caller.project, timeout_s=timeout_s)
        accepted = 0
        for batch, result in zip(batches, results, strict=True):
            accepted += result.accepted
            self._projects.lost(caller.project, result.rejected, batch.dropped)
        self._projects.accepted(caller.project, accepted)
        return results

    def _count_losses(self, decoded: DecodedBody, caller: Caller) -> None:
        """Count what items lost on their way to events: whole items, values by rule, attributes by class of name."""
        self._projects.lost(caller.project, decoded.rejected, decoded.dropped)
        for rejection in decoded.rejected:
            self._metrics.events_refused.labels(rejection.code).inc()
        for rule, count in decoded.dropped.items():
            self._metrics.values_dropped.labels(rule).inc(count)
        for name_class, count in decoded.left_out.items():
            self._metrics.attributes_dropped.labels(name_class).inc(count)


def _cost(batches: Sequence[ValidBatch], decoded: DecodedBody) -> int:
    """In events. Refused ones cost as much as accepted ones, and so does each value that was left out: it took the slow way."""
    cost = len(decoded.rejected) + sum(decoded.dropped.values())
    for each in batches:
        cost += len(each.events) + len(each.rejected) + sum(each.dropped.values()) + each.unknown
    return cost


def _refuse_above(caller: Caller, *rates: RateLimit) -> None:
    now = time.monotonic()
    wait_s = max(rate.wait_s(caller.project, now=now) for rate in rates)
    if wait_s:
        raise RateLimitedError(wait_s=wait_s)
