"""Delivery of a batch: sends it until it is accepted or must be dropped, and counts every event of it either way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from agenttracer import _warn
from agenttracer._clock import now
from agenttracer._events.encode import EncodedEvent, batch_body
from agenttracer._export.counters import Counters
from agenttracer._export.drop_reports import DropReports
from agenttracer._export.response_action import Action, ResponseAction, classify_response
from agenttracer._export.waiting import Waiter
from agenttracer._ids import random_below
from agenttracer.wire.events import EventsDropped
from agenttracer.wire.vocabulary import DropReason

if TYPE_CHECKING:
    from agenttracer._export.transport import GatewayResponse, Transport  # loads HTTP and TLS

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
PAUSE_S: Final = 300.0
"""The pause after a gateway refused the API key: a person has to act first."""


def backoff_s(failures: int) -> float:
    """Full jitter: a random share of an exponentially growing bound, so that a fleet does not come back all at once."""
    return random_below() * min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(failures, 16))


class DeliveryAccount(Protocol):
    """Counts the events of a batch: those of the queue, or those of a dead process."""

    def accept(self, count: int) -> None:
        """`count` events were accepted."""

    def drop(self, run_id: str, reason: DropReason) -> None:
        """One event is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendBatch:
    """The events of one request, their producer (as JSON), and the account that counts them."""

    events: Sequence[EncodedEvent]
    producer: bytes
    account: DeliveryAccount
    kept: bool = False
    """On disk, where it can wait until the gateway accepts the API key."""


class Delivery:
    """Used by the sender's thread only.

    A batch stays open until every event of it is counted, also when the thread dies: the next thread calls `finish`.
    """

    def __init__(
        self,
        *,
        connect: "Callable[[], Transport]",
        drop_reports: DropReports,
        waiter: Waiter,
        counters: Counters,
    ) -> None:
        self._connect = connect
        self._transport: Transport | None = None
        self._open: list[SendBatch] = []
        self._drop_reports = drop_reports
        self._waiter = waiter
        self._counters = counters
        self._paused_until = 0.0
        self.problem = ""
        """Why the last request was not accepted, in words."""

    @property
    def paused(self) -> bool:
        """Whether the gateway refused the API key and nothing is sent for a while."""
        return now() < self._paused_until

    def deliver(self, *batches: SendBatch) -> bool:
        """Send until accepted or dropped. False if the end of the process, or a pause, came first: the rest stays in flight."""
        self._open += reversed(batches)
        return self.finish()

    def finish(self) -> bool:
        """Deliver the batches that are still open."""
        while self._open:
            batch = self._open[-1]
            try:
                outcome = self._send(batch)
            except Exception:  # noqa: BLE001 - a bug of ours must not stop the thread; the batch's events are counted
                self._counters.internal_error()
                outcome = ResponseAction(Action.DROP, reason=DropReason.INTERNAL)
            if outcome is not None and outcome.action is Action.PAUSE:
                self._pause()
            if outcome is None or (outcome.action is Action.PAUSE and batch.kept):
                return False
            self._open.pop()
            if outcome.action is Action.SPLIT and len(batch.events) > 1:
                middle = len(batch.events) // 2
                self._open += [replace(batch, events=half) for half in (batch.events[middle:], batch.events[:middle])]
            elif outcome.action is Action.DONE:
                self._accept(batch, refused=set(outcome.refused))
            else:
                self._drop(batch, outcome.reason)
        return True

    def _send(self, batch: SendBatch) -> ResponseAction | None:
        """The final action for a batch, after as many attempts as it takes; None when there is no time for more."""
        body = batch_body(batch.events, producer=batch.producer)
        failures = 0
        while (left_s := self._waiter.left_s()) != 0:
            if self.paused:
                return ResponseAction(Action.PAUSE, reason=DropReason.UNAUTHORIZED)
            self._transport = self._transport or self._connect()
            response = self._transport.post(body, within_s=left_s)
            outcome = classify_response(response)
            self.problem = _problem(self._transport, response, outcome)
            if outcome.action is not Action.RETRY:
                return outcome
            self._say(self._transport.address)
            wait_s = max(backoff_s(failures), outcome.wait_s or 0.0)
            failures += 1
            if not self._waiter.sleep(wait_s, skippable=outcome.wait_s is None):
                return None
        return None

    def _say(self, address: str) -> None:
        """Say once that the gateway is away, and once more when that costs events."""
        _warn.once(f"away:{address}", f"the gateway at {address} takes nothing: {self.problem}; events wait and are sent again")
        if dropped := self._drop_reports.by_reason[DropReason.QUEUE_FULL]:
            text = f"the queue is full, and events are dropped ({dropped} so far): the gateway at {address} takes nothing"
            _warn.once(f"full:{address}", f"{text}: {self.problem}; AgentTracer.stats().dropped counts them")

    def _accept(self, batch: SendBatch, *, refused: set[int]) -> None:
        for index, event in enumerate(batch.events):
            if event.counted and index in refused:
                batch.account.drop(event.run_id, DropReason.REFUSED)
        self._drop_reports.settle(_reports(batch))
        batch.account.accept(sum(event.counted for index, event in enumerate(batch.events) if index not in refused))

    def _drop(self, batch: SendBatch, reason: DropReason) -> None:
        if reason is DropReason.REFUSED:
            _warn.once("refused", "the gateway refuses what is sent; is api_url right? AgentTracer.stats().dropped counts it")
        for event in batch.events:
            if event.counted:
                batch.account.drop(event.run_id, reason)
        # A refused batch of reports alone is not sent again: that would go on for ever.
        after = self._drop_reports.report_again if any(event.counted for event in batch.events) else self._drop_reports.settle
        after(_reports(batch))

    def _pause(self) -> None:
        if not self.paused:
            self._paused_until = now() + PAUSE_S
            _warn.once("unauthorized", "the gateway refuses the API key; nothing is sent for 5 minutes")

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._transport is not None:
            self._transport.close()


def _problem(transport: "Transport", response: "GatewayResponse | None", outcome: ResponseAction) -> str:
    if response is None:
        return transport.problem
    return "" if outcome.action is Action.DONE else f"it answers {response.status}"


def _reports(batch: SendBatch) -> list[EventsDropped]:
    return [event.report for event in batch.events if event.report is not None]
