"""What the clients know of every event that they offered: accepted, refused, or unknown. The checker's first witness.

It never looks at what the pipeline did; it holds what was said to the gateway and what the gateway answered.
"""

import hashlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from stream_workers.decode import canonical_json

Members = dict[str, Any]
"""An event as JSON members, as it is on the wire."""


class Fate(IntEnum):
    """What a client knows of an event. The greater wins: what was accepted once is accepted, whatever came of a repetition."""

    UNKNOWN = 0
    REFUSED = 1
    ACCEPTED = 2


class Lot(NamedTuple):
    """One request: events of any runs of one producer of one project. `unfit` are indexes that break the contract."""

    project: str
    producer: Members
    events: Sequence[Members]
    unfit: frozenset[int] = frozenset()


@dataclass(slots=True)
class Offer:
    """One event as it was offered, however often."""

    project: str
    producer: str
    event: Members
    fate: Fate = Fate.UNKNOWN


def identity(project: str, event: Members) -> bytes:
    """The same for the same event, to the last member."""
    return hashlib.blake2b(f"{project} {canonical_json(event)}".encode(), digest_size=16).digest()


class History:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.offers: dict[bytes, Offer] = {}
        self.findings: list[str] = []
        self.requests = 0
        self.resent = 0
        self.given_up = 0
        self.by_status: dict[int, int] = {}

    def offer(self, lot: Lot) -> list[bytes]:
        """Before a lot is sent: from now on its events may turn up. Answers their identities, in order."""
        keys = [identity(lot.project, event) for event in lot.events]
        with self._lock:
            for key, event in zip(keys, lot.events, strict=True):
                self.offers.setdefault(key, Offer(lot.project, lot.producer["id"], event))
        return keys

    def settle(self, keys: Iterable[bytes], fate: Fate) -> None:
        """The gateway's final word on these."""
        with self._lock:
            for key in keys:
                self.offers[key].fate = max(self.offers[key].fate, fate)

    def answered(self, status: int) -> None:
        """Count an answer; 0 stands for none."""
        with self._lock:
            self.requests += 1
            self.by_status[status] = self.by_status.get(status, 0) + 1

    def complain(self, what: str) -> None:
        """An answer that contradicts itself or the contract."""
        with self._lock:
            self.findings.append(what)

    def count(self, fate: Fate) -> int:
        """Distinct events of this fate."""
        return sum(offer.fate == fate for offer in self.offers.values())
