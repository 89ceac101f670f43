"""Delivering a batch: sends it until it is accepted or must be given up, and accounts for every event of it either way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from agenttracer import _warn
from agenttracer._batch import Parcel, body_of
from agenttracer._counters import Counters
from agenttracer._ids import random_below
from agenttracer._losses import Losses
from agenttracer._patience import Patience, now
from agenttracer._verdict import Action, Verdict, judge
from agenttracer.wire.events import EventsDropped
from agenttracer.wire.vocabulary import DropReason

if TYPE_CHECKING:
    from agenttracer._transport import Transport  # loads HTTP and TLS

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
PAUSE_S: Final = 300.0
"""How long to leave a gateway alone that does not know our key: a person has to act first."""


def backoff_s(failures: int) -> float:
    """Full jitter: anything up to an exponentially growing bound, so that a fleet does not come back all at once."""
    return random_below() * min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(failures, 16))


class Account(Protocol):
    """Whose events they are: the queue's, or a dead process's."""

    def accept(self, count: int) -> None:
        """`count` events have arrived."""

    def drop(self, run_id: str, reason: DropReason) -> None:
        """One event is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """What goes into one request, of which producer (its JSON), and who accounts for it."""

    parcels: Sequence[Parcel]
    producer: bytes
    account: Account
    kept: bool = False
    """On disk, where it can wait for a key that the gateway knows."""


class Courier:
    """Used by the sender's thread only.

    A lot stays in its hands until every event of it is accounted for, also when the thread dies: the next one `finish`es.
    """

    def __init__(
        self,
        *,
        connect: "Callable[[], Transport]",
        losses: Losses,
        patience: Patience,
        counters: Counters,
    ) -> None:
        self._connect = connect
        self._transport: Transport | None = None
        self._open: list[Lot] = []
        self._losses = losses
        self._patience = patience
        self._counters = counters
        self._paused_until = 0.0

    @property
    def paused(self) -> bool:
        """Whether the gateway refused our key and is left alone for a while."""
        return now() < self._paused_until

    def deliver(self, *lots: Lot) -> bool:
        """Send until accepted or dropped. False when the end of the process, or a pause, came first: the rest stays in flight."""
        self._open += reversed(lots)
        return self.finish()

    def finish(self) -> bool:
        """Deliver what is still in hand."""
        while self._open:
            lot = self._open[-1]
            try:
                verdict = self._send(lot)
            except Exception:  # noqa: BLE001 - a bug of ours must not stop the thread; its events are accounted for
                self._counters.internal_error()
                verdict = Verdict(Action.DROP, reason=DropReason.INTERNAL)
            if verdict is not None and verdict.action is Action.PAUSE:
                self._pause()
            if verdict is None or (verdict.action is Action.PAUSE and lot.kept):
                return False
            self._open.pop()
            if verdict.action is Action.SPLIT and len(lot.parcels) > 1:
                middle = len(lot.parcels) // 2
                self._open += [replace(lot, parcels=half) for half in (lot.parcels[middle:], lot.parcels[:middle])]
            elif verdict.action is Action.DONE:
                self._accept(lot, refused=set(verdict.refused))
            else:
                self._give_up(lot, verdict)
        return True

    def _send(self, lot: Lot) -> Verdict | None:
        """The gateway's final word on a lot, after as many attempts as it takes; None when there is no time for more."""
        body = body_of(lot.parcels, producer=lot.producer)
        failures = 0
        while (left_s := self._patience.left_s()) != 0:
            if self.paused:
                return Verdict(Action.PAUSE, reason=DropReason.UNAUTHORIZED)
            self._transport = self._transport or self._connect()
            verdict = judge(self._transport.post(body, within_s=left_s))
            if verdict.action is not Action.RETRY:
                return verdict
            wait_s = max(backoff_s(failures), verdict.wait_s or 0.0)
            failures += 1
            if not self._patience.nap(wait_s, skippable=verdict.wait_s is None):
                return None
        return None

    def _accept(self, lot: Lot, *, refused: set[int]) -> None:
        for index, parcel in enumerate(lot.parcels):
            if parcel.counted and index in refused:
                lot.account.drop(parcel.run_id, DropReason.REFUSED)
        self._losses.told(_reports(lot))
        lot.account.accept(sum(parcel.counted for index, parcel in enumerate(lot.parcels) if index not in refused))

    def _give_up(self, lot: Lot, verdict: Verdict) -> None:
        if verdict.reason is DropReason.REFUSED:
            _warn.once("refused", "the gateway refuses what is sent; is api_url right? AgentTracer.stats().dropped counts it")
        for parcel in lot.parcels:
            if parcel.counted:
                lot.account.drop(parcel.run_id, verdict.reason)
        # Reports that were refused all by themselves are not told again: that would go on for ever.
        after = self._losses.tell_again if any(parcel.counted for parcel in lot.parcels) else self._losses.told
        after(_reports(lot))

    def _pause(self) -> None:
        if not self.paused:
            self._paused_until = now() + PAUSE_S
            _warn.once("unauthorized", "the gateway refuses the API key; nothing is sent for 5 minutes")

    def recipient(self) -> str:
        """A digest of gateway and key."""
        self._transport = self._transport or self._connect()
        return self._transport.recipient()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._transport is not None:
            self._transport.close()


def _reports(lot: Lot) -> list[EventsDropped]:
    return [parcel.report for parcel in lot.parcels if parcel.report is not None]
