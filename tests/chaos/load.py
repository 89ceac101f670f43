"""The clients: seeded lots of events, sent through the gateway as the SDK sends (its transport, its table of response actions).

Runs of some ten steps with failures, duplicates, contradictions and shuffles across requests, of two projects that have run ids
in common; every member of the contract is said by some of them. An outcome that stays unknown is sent again with the same ids, or
now and then given up and declared lost.
"""

import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from agenttracer._export import response_action
from agenttracer._export.response_action import Action, ResponseAction
from agenttracer._export.transport import GatewayResponse, Transport
from agenttracer.wire.envelope import VERSION, Record
from agenttracer.wire.events import Event, EventsDropped, Evidence, FailureRecorded, RunFinished, RunStarted, StepFinished
from agenttracer.wire.vocabulary import DropReason, RunEnd, StepStatus
from agenttracer.wire.writer import to_members
from tests.chaos.history import Fate, History, Lot, Members
from tests.support.traffic import Traffic

PROJECTS = ("default", "other")
_WINDOW_RECORDS = 150
_BLOCK_RUNS = 60
_GIVE_UP = 0.05
_PAUSE_MAX_S = 1.5
_BEGAN_US = time.time_ns() // 1_000 - 3_600_000_000
"""An hour ago: such times are believed, and their minutes are over, so that they are compacted."""


def lots(seed: int, *, events: int) -> Iterator[Lot]:
    """Requests that hold so many events at least, repeated ones included. Equal seeds make equal requests in a process."""
    block = sent = 0
    while sent < events:
        traffic = Traffic(seed * 100_003 + block, base_us=_BEGAN_US)
        runs = [list(_saying_more(run, traffic.random)) for run in traffic.runs(_BLOCK_RUNS)]
        records = [one for record in traffic.records(runs) for one in _of_projects(record, traffic)]
        shuffled = traffic.mischief(records)
        for start in range(0, len(shuffled), _WINDOW_RECORDS):
            for lot in _requests(shuffled[start : start + _WINDOW_RECORDS], traffic.random):
                sent += len(lot.events)
                yield lot
                if sent >= events:
                    return
        block += 1


def _saying_more(run: Sequence[Event], rng: random.Random) -> Iterator[Event]:
    """The same run, some of its events with the members that `Traffic` never uses."""
    ids = [event.step_id for event in run if isinstance(event, StepFinished)]
    for event in run:
        match event:
            case RunStarted() if rng.random() < 0.2:
                parent = str(uuid.UUID(int=rng.getrandbits(128)))
                yield replace(event, parent_run_id=parent, parent_step_id=f"{rng.getrandbits(64) | 1:016x}")
            case StepFinished(status=StepStatus.ERROR) if rng.random() < 0.1 and event.step_id != ids[0]:
                yield replace(event, cause_step_id=ids[0])
            case FailureRecorded() if rng.random() < 0.5:
                evidence = Evidence(error_class="KeyError", error_code="E42", http_status=409, errno=2, retry_after_s=1)
                fingerprint = f"{rng.getrandbits(128):032x}"
                yield replace(event, attempt=rng.randint(1, 3), message_fingerprint=fingerprint, evidence=evidence)
            case RunFinished() if rng.random() < 0.05:  # of a part of the run in another process
                yield replace(event, parent_step_id=f"{rng.getrandbits(64) | 1:016x}")
            case RunFinished(status=RunEnd.FAILURE) if rng.random() < 0.2 and ids:
                yield replace(event, cause_step_id=ids[-1])
            case _:
                yield event


def _of_projects(record: Record, traffic: Traffic) -> list[Record]:
    """A quarter of the runs is the other project's; an eighth has the same id in both, and says different things there."""
    number = int(record.events[0].run_id[:2], 16)
    ours, theirs = replace(record, project=PROJECTS[0]), replace(record, project=PROJECTS[1])
    if number < 64:
        return [theirs]
    if number < 96:
        return [ours, replace(theirs, events=tuple(map(traffic._contradict, record.events)))]
    return [ours]


def _requests(records: Sequence[Record], rng: random.Random) -> Iterator[Lot]:
    said: dict[tuple[str, str], tuple[Members, list[Members]]] = {}
    for record in records:
        producer = to_members(record.producer)
        _, events = said.setdefault((record.project, json.dumps(producer)), (producer, []))
        events += [to_members(event) for event in record.events]
    for (project, _), (producer, events) in said.items():
        lot = Lot(project, producer, events)
        yield _with_unfit(lot, rng) if rng.random() < 0.02 else lot
        if rng.random() < 0.02:
            yield lot


def _with_unfit(lot: Lot, rng: random.Random) -> Lot:
    """The same with one event in its midst that breaks the contract, and must be refused alone."""
    at = rng.randrange(len(lot.events) + 1)
    bad = {**lot.events[0], "type": "step_finished", "duration_us": -1 - rng.randrange(1_000_000)}
    return lot._replace(events=[*lot.events[:at], bad, *lot.events[at:]], unfit=frozenset({at}))


class Pace:
    """Spreads events over a time; several threads share it."""

    def __init__(self, events_per_s: float) -> None:
        self._per_s = events_per_s
        self._began = time.monotonic()
        self._taken = 0
        self._lock = threading.Lock()

    def take(self, events: int, stop: threading.Event) -> None:
        """Wait until it is time for so many more."""
        with self._lock:
            due = self._began + self._taken / self._per_s
            self._taken += events
        stop.wait(max(0.0, due - time.monotonic()))


class Client(threading.Thread):
    """Takes lots and delivers each until the gateway's final word, through any of the gateways."""

    def __init__(
        self,
        source: "Source",
        history: History,
        *,
        urls: Callable[[], Sequence[str]],
        keys: Mapping[str, str],
        pace: Pace,
        seed: int,
    ) -> None:
        super().__init__(name=f"client-{seed}", daemon=True)
        self._source = source
        self._history = history
        self._urls = urls
        self._keys = keys
        self._pace = pace
        self._random = random.Random(seed)
        self._transports: dict[tuple[str, str], Transport] = {}
        self.stop = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while (lot := self._source.next()) is not None and not self.stop.is_set():
                self._pace.take(len(lot.events), self.stop)
                self.deliver(lot)
        except BaseException as error:  # noqa: BLE001 - shown by whoever joins this thread
            self.error = error
        for transport in self._transports.values():
            transport.close()

    def deliver(self, lot: Lot) -> None:
        """Send until the outcome is known, or given up."""
        keys = self._history.offer(lot)
        tries = 0
        while not self.stop.is_set():
            answer = self._post(lot)
            outcome = response_action.classify_response(answer)
            self._history.answered(answer.status if answer else 0)
            if outcome.action is not Action.RETRY:
                self._settle(lot, keys, outcome, answer)
                return
            tries += 1
            if self._random.random() < _GIVE_UP and lot.numbered() and not lot.unfit:
                self._give_up(lot, keys)
                return
            self._history.resent += 1
            self.stop.wait(min(outcome.wait_s or 0.1 * 2**tries, _PAUSE_MAX_S))

    def _post(self, lot: Lot) -> GatewayResponse | None:
        url = self._random.choice(self._urls())
        place = (url, lot.project)
        if place not in self._transports:
            key = self._keys[lot.project]
            self._transports[place] = Transport(api_url=url, api_key=key, connect_timeout_s=2, request_timeout_s=7)
        body = {"v": VERSION, "producer": lot.producer, "events": lot.events}
        return self._transports[place].post(json.dumps(body).encode())

    def _settle(self, lot: Lot, keys: Sequence[bytes], outcome: ResponseAction, answer: GatewayResponse | None) -> None:
        if outcome.action is not Action.DONE or answer is None:
            self._history.complain(f"a well-formed request was refused with status {answer.status if answer else 0}")
            self._history.settle(keys, Fate.REFUSED)
            return
        refused = frozenset(outcome.refused)
        self._history.settle((key for at, key in enumerate(keys) if at in refused), Fate.REFUSED)
        self._history.settle((key for at, key in enumerate(keys) if at not in refused), Fate.ACCEPTED)
        if refused != lot.unfit:
            self._history.complain(f"refused were {sorted(refused)}, unfit were {sorted(lot.unfit)}")
        if answer.status == 202 and json.loads(answer.body)["accepted"] + len(refused) != len(lot.events):
            self._history.complain("accepted and refused do not add up to what was sent")

    def _give_up(self, lot: Lot, keys: Sequence[bytes]) -> None:
        """Say of each run how many of its events are given up by now, as the SDK does when its queue is full.

        The report itself has no number, so nobody could miss it: it is sent until it is accepted.
        """
        self._history.settle(keys, Fate.DECLARED)
        totals = self._history.give_up(lot)
        dropped = [EventsDropped(run_id=run_id, reason=DropReason.QUEUE_FULL, total=total) for run_id, total in totals.items()]
        self.deliver(Lot(lot.project, lot.producer, [to_members(report) for report in dropped]))


class Source:
    """Lots, handed out one by one to any number of threads."""

    def __init__(self, items: Iterator[Lot]) -> None:
        self._items = items
        self._lock = threading.Lock()

    def next(self) -> Lot | None:
        """The next one; None when there are no more."""
        with self._lock:
            return next(self._items, None)
