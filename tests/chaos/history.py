"""What the clients know of every event that they offered: accepted, refused, given up, or unknown. The checker's first witness.

It never looks at what the pipeline did; it holds what was said to the gateway and what the gateway answered.
"""

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

Members = dict[str, Any]
"""An event or a producer as JSON members, as it is on the wire."""


class Fate(IntEnum):
    """What a client knows of an event. The greater wins: what was accepted once is accepted, whatever came of a repetition."""

    UNKNOWN = 0
    DECLARED = 1
    """Given up without a final word, and declared lost. It may be there all the same."""
    REFUSED = 2
    ACCEPTED = 3


class Lot(NamedTuple):
    """One request: events of any runs of one producer of one project. `unfit` are indexes that break the contract."""

    project: str
    producer: Members
    events: Sequence[Members]
    unfit: frozenset[int] = frozenset()

    def numbered(self) -> list[Members]:
        """The events that have a sequence number: what a loss is counted in."""
        return [event for event in self.events if "seq" in event]


@dataclass(slots=True)
class Offer:
    """One event as it was offered, however often."""

    project: str
    producer: Members
    event: Members
    fate: Fate = Fate.UNKNOWN

    @property
    def run(self) -> tuple[str, str]:
        """Which run it is of."""
        return self.project, self.event["run_id"]


def identity(project: str, producer: Members, event: Members) -> bytes:
    """The same for the same event of the same producer, to the last member."""
    said = json.dumps([project, producer, event], sort_keys=True)
    return hashlib.blake2b(said.encode(), digest_size=16).digest()


class History:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given_up: dict[tuple[str, str, str], set[int]] = defaultdict(set)
        self.offers: dict[bytes, Offer] = {}
        self.runs: dict[str, set[str]] = defaultdict(set)
        """Run ids by project, from the moment when they are offered."""
        self.findings: list[str] = []
        self.requests = 0
        self.resent = 0
        self.by_status: dict[int, int] = {}

    def offer(self, lot: Lot) -> list[bytes]:
        """Before a lot is sent: from now on its events may turn up. Answers their identities, in order."""
        keys = [identity(lot.project, lot.producer, event) for event in lot.events]
        with self._lock:
            for key, event in zip(keys, lot.events, strict=True):
                self.offers.setdefault(key, Offer(lot.project, lot.producer, event))
                self.runs[lot.project].add(event["run_id"])
        return keys

    def settle(self, keys: Iterable[bytes], fate: Fate) -> None:
        """The final word on these."""
        with self._lock:
            for key in keys:
                self.offers[key].fate = max(self.offers[key].fate, fate)

    def give_up(self, lot: Lot) -> dict[str, int]:
        """They are not sent again. By run, how many numbers its producer has given up until now: what it has to declare."""
        with self._lock:
            totals = {}
            for event in lot.numbered():
                numbers = self._given_up[lot.project, lot.producer["id"], event["run_id"]]
                numbers.add(event["seq"])
                totals[event["run_id"]] = len(numbers)
            return totals

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
