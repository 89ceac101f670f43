"""The routes `POST /v1/events` and `POST /v1/runs`: how each decodes its body and what it answers. The stages are in `ingest`."""

from collections.abc import Callable, Generator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from producer_gateway.api.ingest import Ingest
from producer_gateway.api.openapi import batch_body, run_body
from producer_gateway.api.responses import ERRORS, EventsAccepted, RunAccepted
from producer_gateway.errors import UnprocessableError
from producer_gateway.events.publish import PublishResult
from producer_gateway.events.run_document import read_document
from producer_gateway.events.run_to_events import new_run_id, to_events
from producer_gateway.events.validate import Rejection, ValidBatch, checking
from producer_gateway.limits.admission import Ticket
from producer_gateway.limits.complexity_limit import examine_events, examine_run
from producer_gateway.limits.read_body import BodyLimits
from producer_gateway.limits.turns import in_turns
from producer_gateway.settings import GatewaySettings

_ACCEPTED: Final = 202
_JSON: Final = "application/json"
_NONE: Final[Mapping[str, int]] = MappingProxyType({})


def body_limits(settings: GatewaySettings) -> BodyLimits:
    """Those of the gateway's own routes."""
    return BodyLimits(
        body_max_bytes=settings.body_max_bytes,
        inflated_max_bytes=settings.inflated_max_bytes,
        inflate_max_ratio=settings.inflate_max_ratio,
        receive_timeout_s=settings.receive_timeout_s,
    )


class DecodedEvents(NamedTuple):
    """A batch of events."""

    batches: Sequence[ValidBatch]
    rejected: Sequence[Rejection] = ()
    dropped: Mapping[str, int] = _NONE
    left_out: Mapping[str, int] = _NONE

    def answer(self, batches: Sequence[ValidBatch], results: Sequence[PublishResult]) -> Response:
        """See DecodedBody."""
        result = _accepted(results)
        members = _members(result.rejected)
        return _response({"accepted": result.accepted, "rejected": members, "dropped": batches[0].dropped})


class EventsDecoder:
    """Decodes `POST /v1/events`."""

    accepts = _JSON

    def __init__(self, settings: GatewaySettings) -> None:
        self.limits = body_limits(settings)
        self.deadline_max_s = settings.request_deadline_s
        self._events_max = settings.events_max

    def limit(self, body: bytes) -> None:
        """See Decoder."""
        examine_events(body)

    async def decode(self, body: bytes, ticket: Ticket) -> DecodedEvents:
        """See Decoder."""
        return DecodedEvents([await in_turns(checking(body, events_max=self._events_max), ticket)])


class DecodedRun(NamedTuple):
    """The events of a run document."""

    run_id: str
    batches: Sequence[ValidBatch]
    rejected: Sequence[Rejection] = ()
    dropped: Mapping[str, int] = _NONE
    left_out: Mapping[str, int] = _NONE

    def answer(self, batches: Sequence[ValidBatch], results: Sequence[PublishResult]) -> Response:
        """See DecodedBody."""
        accepted = _accepted(results).accepted
        return _response({"run_id": self.run_id, "accepted": accepted, "dropped": batches[0].dropped})


class RunDecoder:
    """Decodes `POST /v1/runs`. The document becomes the same events that an SDK would send."""

    accepts = _JSON

    def __init__(self, settings: GatewaySettings, *, clock_us: Callable[[], int]) -> None:
        self.limits = body_limits(settings)
        self.deadline_max_s = settings.request_deadline_s
        self._clock_us = clock_us

    def limit(self, body: bytes) -> None:
        """See Decoder."""
        examine_run(body)

    async def decode(self, body: bytes, ticket: Ticket) -> DecodedRun:
        """See Decoder."""
        return await in_turns(self._decoding(body), ticket)

    def _decoding(self, body: bytes) -> Generator[None, None, DecodedRun]:
        document, now = read_document(body), self._clock_us()
        yield
        run_id = document.run_id or new_run_id(now)
        return DecodedRun(run_id, [to_events(document, run_id=run_id, received_at=now)])


def ingest_router(ingest: Ingest, *, events: EventsDecoder, runs: RunDecoder) -> APIRouter:
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
        return await ingest.accept(request, events)

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
        return await ingest.accept(request, runs)

    return router


def _accepted(results: Sequence[PublishResult]) -> PublishResult:
    """The result of the only batch. Raises UnprocessableError where nothing was accepted."""
    (result,) = results
    if result.accepted == 0:
        raise UnprocessableError(field="events", code="nothing_accepted", rejected=_members(result.rejected))
    return result


def _members(rejected: Sequence[Rejection]) -> list[dict[str, object]]:
    return [each.members() for each in rejected]


def _response(answer: Mapping[str, object]) -> Response:
    return Response(msgspec.json.encode(answer), status_code=_ACCEPTED, media_type=_JSON)
