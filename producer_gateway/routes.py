"""The two ways in, `POST /v1/events` and `POST /v1/runs`: each receives, checks, publishes and answers within one deadline."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from producer_gateway.admission import Admission, Ticket
from producer_gateway.answers import ERRORS, EventsAccepted, RunAccepted
from producer_gateway.arrival import begun_at
from producer_gateway.check import Checked, Rejection, check
from producer_gateway.density import examine_events, examine_run
from producer_gateway.errors import (
    ForbiddenError,
    GatewayError,
    KeysUnavailableError,
    LogUnavailableError,
    RateLimitedError,
    UnauthenticatedError,
    UnprocessableError,
)
from producer_gateway.metrics import Metrics
from producer_gateway.name_cap import NameCap
from producer_gateway.openapi import batch_body, run_body
from producer_gateway.project_metrics import ProjectMetrics
from producer_gateway.publish import Outcome, Publisher
from producer_gateway.rate import Rate
from producer_gateway.read_document import read_document
from producer_gateway.receive import Limits, receive
from producer_gateway.record_log import RecordLog
from producer_gateway.run_events import to_events
from producer_gateway.run_id import new_run_id
from producer_gateway.settings import GatewaySettings
from servicekit.access import Access, Refusal
from servicekit.keys import Caller

_ACCEPTED: Final = 202
_REFUSALS: Final[Mapping[Refusal, type[GatewayError]]] = {
    Refusal.UNAUTHENTICATED: UnauthenticatedError,
    Refusal.FORBIDDEN: ForbiddenError,
    Refusal.UNAVAILABLE: KeysUnavailableError,
}
_DAY_US: Final = 86_400_000_000
_OBJECTS_FACTOR: Final = 4
"""Bytes that a byte of a real body takes as objects and records, together and at the most: measured 2 to 4."""
_SPAN_BYTES: Final = 1_500
"""What a span takes as events and records at the least, measured where each is a run of its own."""
Examine = Callable[[bytes], None]
"""Refuses a body that would take far more memory than its size says. Raises RefusedError."""


class Ingest:
    """What both routes do alike. `clock_us` is the wall clock, in microseconds."""

    def __init__(
        self,
        settings: GatewaySettings,
        record_log: RecordLog,
        *,
        access: Access,
        admission: Admission,
        metrics: Metrics,
        clock_us: Callable[[], int],
    ) -> None:
        self.settings = settings
        self.clock_us = clock_us
        self._access = access
        self._log = record_log
        self._metrics = metrics
        self._limits = Limits(
            body_max_bytes=settings.body_max_bytes,
            inflated_max_bytes=settings.inflated_max_bytes,
            inflate_max_ratio=settings.inflate_max_ratio,
            receive_timeout_s=settings.receive_timeout_s,
        )
        self.otlp_limits = replace(
            self._limits, body_max_bytes=settings.otlp_body_max_bytes, receive_timeout_s=settings.otlp_receive_timeout_s
        )
        self._admission = admission
        self._event_rate = Rate(per_s=settings.rate_events_per_s, burst_s=settings.rate_burst_s)
        self._byte_rate = Rate(per_s=settings.rate_bytes_per_s, burst_s=settings.rate_burst_s)
        self._projects = ProjectMetrics(projects_max=settings.projects_shown_max, registry=metrics.registry)
        self._names = NameCap(names_max=settings.names_max_per_day)
        self._publisher = Publisher(record_log, record_max_bytes=settings.record_max_bytes, clock_us=clock_us, metrics=metrics)

    def authenticate(self, request: Request) -> Caller:
        """Who sends this, by its headers alone. Raises UnauthenticatedError, ForbiddenError, KeysUnavailableError."""
        caller = self._access.caller(request.scope["headers"])
        if isinstance(caller, Refusal):
            raise _REFUSALS[caller]
        return caller

    @contextmanager
    def admit(self, caller: Caller) -> Iterator[Ticket]:
        """What a request holds while it lasts. Raises RateLimitedError, LogUnavailableError."""
        with self._projects.request(caller.project):
            reason = self._log.unready()
            if reason is not None:
                raise LogUnavailableError(code=reason)
            _check(caller, self._event_rate, self._byte_rate)
            with self._admission.admit(caller.project) as ticket:
                yield ticket

    def _charge_events(self, batches: Sequence[Checked], caller: Caller, *, rejected: int = 0) -> None:
        """Before any is published: a request is accepted whole or not at all. Those that are refused cost as much."""
        _check(caller, self._event_rate)
        events = rejected + sum(len(each.events) + len(each.rejected) for each in batches)
        self._event_rate.charge(caller.key_id, events, now=time.monotonic())

    async def receive(
        self,
        request: Request,
        ticket: Ticket,
        caller: Caller,
        *,
        accepts: str = "application/json",
        examine: Examine = examine_events,
        limits: Limits | None = None,
    ) -> bytes:
        """The request's body, inflated, and not too dense. Raises RefusedError, OverloadedError, ClientGoneError."""
        try:
            body = await receive(request, limits=limits or self._limits, ticket=ticket, accepts=accepts)
        finally:  # what is refused has been sent all the same
            self._byte_rate.charge(caller.key_id, ticket.received, now=time.monotonic())
        self._projects.received(caller.project, len(body))
        ticket.enter()
        examine(body)
        ticket.hold(_OBJECTS_FACTOR * len(body))
        self._metrics.body_bytes.inc(len(body))
        return body

    def hold_spans(self, ticket: Ticket, spans: int, *, of_bytes: int) -> None:
        """Reserve for spans that are smaller than usual what their body was not charged. Raises OverloadedError."""
        ticket.hold(max(0, _SPAN_BYTES * spans - _OBJECTS_FACTOR * of_bytes))

    def cap_names(self, checked: Checked, caller: Caller) -> Checked:
        """The same, with `__other__` for names that are too many."""
        return self._names.apply(checked, project=caller.project, day=self.clock_us() // _DAY_US)

    async def publish(self, checked: Checked, *, caller: Caller, deadline: float) -> Outcome:
        """Raises LogUnavailableError at the deadline (monotonic, s), UnprocessableError when nothing at all is accepted."""
        timeout_s = max(0.0, deadline - time.monotonic())
        self._charge_events([checked], caller)
        outcome = await self._publisher.publish(checked, project=caller.project, timeout_s=timeout_s)
        self._projects.accepted(caller.project, outcome.accepted)
        self._projects.lost(caller.project, outcome.rejected, checked.dropped)
        if outcome.accepted == 0:
            raise UnprocessableError(field="events", code="nothing_accepted", rejected=_members(outcome.rejected))
        return outcome

    async def publish_each(self, batches: Sequence[Checked], *, rejected: int, caller: Caller, deadline: float) -> list[Outcome]:
        """As `publish`, but what is not accepted is in the outcomes alone. Raises LogUnavailableError at the deadline.

        `rejected` is how many spans never became events.
        """
        timeout_s = max(0.0, deadline - time.monotonic())
        self._charge_events(batches, caller, rejected=rejected)
        outcomes = await self._publisher.publish_each(batches, project=caller.project, timeout_s=timeout_s)
        self._projects.accepted(caller.project, sum(each.accepted for each in outcomes))
        for batch, outcome in zip(batches, outcomes, strict=True):
            self._projects.lost(caller.project, outcome.rejected, batch.dropped)
        return outcomes

    def count_spans(
        self, rejected: Sequence[Rejection], *, caller: Caller, dropped: Mapping[str, int], left_out: Mapping[str, int]
    ) -> None:
        """Count what OTLP spans lost on their way to events: whole spans, values by rule, attributes by class of name."""
        self._projects.lost(caller.project, rejected, dropped)
        for rejection in rejected:
            self._metrics.events_refused.labels(rejection.code).inc()
        for rule, count in dropped.items():
            self._metrics.values_dropped.labels(rule).inc(count)
        for name_class, count in left_out.items():
            self._metrics.attributes_dropped.labels(name_class).inc(count)

    def deadline(self, request: Request) -> float:
        """When it must be answered (monotonic, s)."""
        return begun_at(request.scope) + self.settings.request_deadline_s

    def moved_by_body(self, deadline: float) -> float:
        """The deadline of an OTLP request whose body is here now: what that took is not taken from the time to produce in."""
        longest = deadline - self.settings.request_deadline_s + self.settings.otlp_request_deadline_s
        return max(deadline, min(longest, time.monotonic() + self.settings.request_deadline_s))


def _check(caller: Caller, *rates: Rate) -> None:
    now = time.monotonic()
    wait_s = max(rate.wait_s(caller.key_id, now=now) for rate in rates)
    if wait_s:
        raise RateLimitedError(wait_s=wait_s)


def ingest_router(ingest: Ingest) -> APIRouter:
    """Routes that the app includes."""
    router = APIRouter(prefix="/v1", tags=["ingest"])

    @router.post(
        "/events",
        summary="Events of any number of runs of one producer",
        status_code=_ACCEPTED,
        response_model=EventsAccepted,
        responses=ERRORS,
        openapi_extra=batch_body(),
    )
    async def post_events(request: Request) -> Response:
        """Answers 202 once every accepted event is durable. Items that break the contract are refused one by one."""
        deadline = ingest.deadline(request)
        caller = ingest.authenticate(request)
        with ingest.admit(caller) as ticket:
            body = await ingest.receive(request, ticket, caller)
            checked = ingest.cap_names(check(body, events_max=ingest.settings.events_max), caller)
            del body  # as objects it is large enough while the log is waited for
            outcome = await ingest.publish(checked, caller=caller, deadline=deadline)
        rejected = _members(outcome.rejected)
        return _accepted({"accepted": outcome.accepted, "rejected": rejected, "dropped": checked.dropped})

    @router.post(
        "/runs",
        summary="One whole run, as a document",
        status_code=_ACCEPTED,
        response_model=RunAccepted,
        responses=ERRORS,
        openapi_extra=run_body(),
    )
    async def post_run(request: Request) -> Response:
        """Answers 202 once the run is durable. The document becomes the same events that an SDK would send."""
        deadline = ingest.deadline(request)
        caller = ingest.authenticate(request)
        with ingest.admit(caller) as ticket:
            document = read_document(await ingest.receive(request, ticket, caller, examine=examine_run))
            now = ingest.clock_us()
            run_id = document.run_id or new_run_id(now)
            checked = ingest.cap_names(to_events(document, run_id=run_id, received_at=now), caller)
            outcome = await ingest.publish(checked, caller=caller, deadline=deadline)
        return _accepted({"run_id": run_id, "accepted": outcome.accepted, "dropped": checked.dropped})

    return router


def _accepted(answer: Mapping[str, object]) -> Response:
    return Response(msgspec.json.encode(answer), status_code=_ACCEPTED, media_type="application/json")


def _members(rejected: Sequence[Rejection]) -> list[dict[str, object]]:
    return [each.members() for each in rejected]
