"""Promise 6: emitted = stored + dead-lettered + declared lost + in flight, and the query service shows the same.

Where every event is that the clients emitted, and what the query API must say of each run because of it. The truth here is the
clients' history and, for an event whose outcome no client knows, the topic.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.chaos.finding import Finding
from tests.chaos.history import Fate, History, Offer
from tests.chaos.rows import name_of
from tests.chaos.stored import Key, Stored

Places = Mapping[bytes, Sequence[tuple[int, int]]]
"""Partitions and offsets of the records that hold an event, by its identity."""


class Where(StrEnum):
    """Where an emitted event is."""

    STORED = "stored"
    DEAD_LETTERED = "dead_lettered"
    REFUSED = "refused"  # and its client was told so
    DECLARED_LOST = "declared_lost"
    IN_FLIGHT = "in_flight"  # no client has the last word of it yet, or no worker has come to it
    UNEXPLAINED = "unexplained"


def whereabouts(history: History, places: Places, stored: Stored) -> dict[Where, list[Offer]]:
    """Every distinct event that was emitted, by where it is."""
    found: dict[Where, list[Offer]] = {where: [] for where in Where}
    for key, offer in history.offers.items():
        found[_where(offer, places.get(key, ()), stored)].append(offer)
    return found


def _where(offer: Offer, places: Sequence[tuple[int, int]], stored: Stored) -> Where:
    if offer.fate == Fate.REFUSED:
        return Where.REFUSED
    if not places:
        return {Fate.DECLARED: Where.DECLARED_LOST, Fate.UNKNOWN: Where.IN_FLIGHT}.get(offer.fate, Where.UNEXPLAINED)
    if stored.dead_letters.issuperset(places):
        return Where.DEAD_LETTERED
    if not any(stored.covers(*place) for place in places):
        return Where.IN_FLIGHT
    return Where.STORED if stored.holds(offer) and _has_number(offer, stored) else Where.UNEXPLAINED


def _has_number(offer: Offer, stored: Stored) -> bool:
    if "seq" not in offer.event:
        return True
    row = stored.producers.get((*offer.run, offer.producer["id"]))
    return row is not None and offer.event["seq"] in row["seen"]


def check_balance(found: Mapping[Where, Sequence[Offer]], stored: Stored) -> Iterator[Finding]:
    """No loss is unexplained, and those that clients declared are shown, as many as there are."""
    for offer in found[Where.UNEXPLAINED]:
        yield Finding("unexplained", name_of(offer))
    missing: dict[Key, set[int]] = defaultdict(set)
    for offer in found[Where.DECLARED_LOST]:
        if not _has_number(offer, stored):
            missing[(*offer.run, offer.producer["id"])].add(offer.event["seq"])
    declared = Counter[Key]()
    for key, row in stored.losses.items():
        declared[key[:3]] += row["total"]
    for key, numbers in missing.items():
        if len(numbers) > declared[key]:
            yield Finding("unexplained", f"{len(numbers)} of {key} are lost, {declared[key]} are declared")


# -- what the query API has to say ----------------------------------------------------------------------------------------


@dataclass
class Account:
    """What arrived of one producer's part of a run: its numbers, what its end counted, what it declared lost by reason."""

    numbers: set[int] = field(default_factory=set)
    emitted: int | None = None
    declared: dict[str, int] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any]) -> None:
        """One more event, in any order and however often."""
        if "seq" in event:
            self.numbers.add(event["seq"])
        if event["type"] == "run_finished":
            self.emitted = max(self.emitted or 0, event["emitted"])
        if event["type"] == "events_dropped":
            reason = event["reason"]
            self.declared[reason] = max(self.declared.get(reason, 0), event["total"])

    def answer(self, producer: str) -> dict[str, Any]:
        """What the API must say of it: what an end counted and is not there is lost, and never shown as complete."""
        stored, declared = len(self.numbers), sum(self.declared.values())
        lost = declared if self.emitted is None else max(0, self.emitted - stored)
        known = self.emitted is not None and self.emitted >= stored
        return {
            "producer": producer,
            "state": "lost" if lost else "complete" if known else "unknown",
            "lost_events": lost,
            "stored_events": stored,
            "declared": self.declared,
            "unexplained_events": max(0, lost - declared),
            "gaps": max(self.numbers) - min(self.numbers) + 1 - stored if self.numbers else 0,
        }


def accounts(history: History, places: Places) -> dict[Key, dict[str, Account]]:
    """By run and producer, of all events that are there. Runs that only have heartbeats have no producer's account."""
    found: dict[Key, dict[str, Account]] = defaultdict(dict)
    for key, offer in history.offers.items():
        if key in places and offer.fate != Fate.REFUSED:
            of_run = found[offer.run]
            if offer.event["type"] != "run_heartbeat":
                of_run.setdefault(offer.producer["id"], Account()).take(offer.event)
    return found


def answer_for(of_run: Mapping[str, Account]) -> dict[str, Any]:
    """What the API must say of a run: the sum over its producers, `lost` and `unknown` if one of them is."""
    producers = [of_run[name].answer(name) for name in sorted(of_run)]
    states = {one["state"] for one in producers}
    declared = Counter[str]()
    for one in producers:
        declared.update(one["declared"])
    return {
        "state": "lost" if "lost" in states else "complete" if states == {"complete"} else "unknown",
        "lost_events": sum(one["lost_events"] for one in producers),
        "stored_events": sum(one["stored_events"] for one in producers),
        "declared": dict(declared),
        "producers": producers,
        "producer_count": len(producers),
    }
