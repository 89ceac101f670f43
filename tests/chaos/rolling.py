"""A rolling restart of every service under load: one after the other is told to stop, comes back, and nobody notices.

`make rolling-restarts` prints the report; a test runs it small. Freshness is measured, and judged by the command alone: a busy
machine makes any gap.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from agenttracer_cli.local.services import Service
from tests.chaos import fleet, invariants
from tests.chaos.evidence import read_topic
from tests.chaos.finding import Finding, broken
from tests.chaos.history import Fate, History
from tests.chaos.load import Client, Pace, Source, lots
from tests.chaos.rows import check_rows
from tests.chaos.settle import wait_settled
from tests.chaos.stored import read_stored
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack, new_stack

GAP_MAX_S = 10.0
_OF_EACH = 2
_STOP_S = 30.0
_SETTLE_S = 60.0
_LOOK_EVERY_S = 0.2
_TRIES = 3
_REPORT = Path("build/rolling-restarts.json")


class Reader(threading.Thread):
    """Asks for the newest runs again and again; what one query service does not answer, it asks the other."""

    def __init__(self, services: Sequence[Service], key: str) -> None:
        super().__init__(name="reader", daemon=True)
        self._services = services
        self._key = key
        self._ended = threading.Event()
        self.answered = self.asked_again = 0
        self.unanswered: list[str] = []
        self.gap_s = 0.0
        """The longest time for which no newer event became visible."""

    def run(self) -> None:
        newest, seen_at = "", time.monotonic()
        while not self._ended.wait(_LOOK_EVERY_S):
            shown = self._newest()
            if shown is not None and shown > newest:
                newest, seen_at = shown, time.monotonic()
            self.gap_s = max(self.gap_s, time.monotonic() - seen_at)

    def end(self) -> None:
        """Stop asking."""
        self._ended.set()
        self.join()

    def _newest(self) -> str | None:
        """Up to which time of receipt all is shown, as the first says that answers."""
        for number in range(_TRIES):
            service = self._services[(self.answered + number) % len(self._services)]
            try:
                answer = httpx.get(f"{service.url}/v1/runs", params={"limit": 1}, headers={"x-api-key": self._key}, timeout=10)
                answer.raise_for_status()
            except httpx.HTTPError:
                self.asked_again += 1
                continue
            self.answered += 1
            return str(answer.json()["complete_to"] or "")
        self.unanswered.append(f"nobody answered within {_TRIES} tries")
        return None


def rolling(stack: Stack, *, events: int, spread_s: float, seed: int) -> dict[str, Any]:
    """The report of one rolling restart of two gateways, two workers and two query services."""
    pipeline = Pipeline(stack)
    history = History()
    gateways = [fleet.gateway(pipeline, number) for number in range(1, _OF_EACH + 1)]
    workers = [
        fleet.worker(pipeline, number, database=pipeline.database, group=pipeline.name) for number in range(1, _OF_EACH + 1)
    ]
    queries = [fleet.query(pipeline, database=pipeline.database, number=number) for number in range(1, _OF_EACH + 1)]
    keys = fleet.ingest_keys(pipeline)
    reader = Reader(queries, fleet.read_keys(pipeline, database=pipeline.database)["default"])
    source, pace = Source(lots(seed, events=events)), Pace(events / spread_s)
    clients = [
        Client(source, history, urls=lambda: [one.url for one in gateways], keys=keys, pace=pace, seed=seed + number)
        for number in range(_OF_EACH)
    ]
    try:
        services = [*gateways, *workers, *queries]
        for service in services:
            service.start()
        for service in services:
            service.wait_ready()
        for thread in (reader, *clients):
            thread.start()
        for service in services:
            service.terminate(grace_s=_STOP_S)
            service.start()
            service.wait_ready()
        for client in clients:
            client.join()
        reader.end()
        settled = wait_settled(pipeline, database=pipeline.database, still_s=_SETTLE_S)
        errors = [repr(client.error) for client in clients if client.error is not None]
        return _report(pipeline, history, reader, settled=settled, errors=errors)
    finally:
        for client in clients:
            client.stop.set()
        pipeline.close()


def _report(pipeline: Pipeline, history: History, reader: Reader, *, settled: bool, errors: list[str]) -> dict[str, Any]:
    topic = read_topic(pipeline)
    findings: list[Finding] = [
        *invariants.check_answers(history),
        *invariants.check_topic(history, invariants.places_of(topic)),
        *invariants.check_store(pipeline, topic, database=pipeline.database),
        *invariants.check_ledger(pipeline, topic, database=pipeline.database),
        *check_rows(history, read_stored(pipeline, database=pipeline.database)),
        *(Finding("answers", said) for said in (*reader.unanswered, *errors)),
    ]
    return {
        "settled": settled,
        "broken": broken(findings),
        "events": {fate.name.lower(): history.count(fate) for fate in Fate},
        "requests": {"sent": history.requests, "resent": history.resent, "by_status": history.by_status},
        "reads": {"answered": reader.answered, "asked_again": reader.asked_again},
        "freshness_gap_s": round(reader.gap_s, 1),
    }


def main() -> int:
    """Exit code 0 if nothing is broken and no newer event was invisible for longer than the bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--spread-s", type=float, default=90.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    stack = new_stack()
    try:
        report = rolling(stack, events=options.events, spread_s=options.spread_s, seed=options.seed)
    finally:
        stack.stop()
    _REPORT.parent.mkdir(exist_ok=True)
    _REPORT.write_text(json.dumps(report, indent=1), encoding="utf-8")
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    return 0 if report["settled"] and not report["broken"] and report["freshness_gap_s"] <= GAP_MAX_S else 1


if __name__ == "__main__":
    sys.exit(main())
