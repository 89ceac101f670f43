"""The conservation soak: clients, faults, then the checker. `python -m tests.chaos.soak --help`.

A long soak is a series of rounds, each with a topic and a database of its own, so that what the checker holds in memory is
bounded. The verdict of all of them is written to build/soak.json, with the command that repeats it.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from tests.chaos import fleet, invariants
from tests.chaos.balance import accounts, check_balance, whereabouts
from tests.chaos.crew import Crew
from tests.chaos.evidence import CommitWatch, read_topic
from tests.chaos.faults import Injector
from tests.chaos.finding import INVARIANTS, Finding, broken, examples
from tests.chaos.history import Fate, History
from tests.chaos.load import Client, Pace, Source, lots
from tests.chaos.rows import check_rows
from tests.chaos.settle import wait_settled
from tests.chaos.shown import Onlooker, check_shown
from tests.chaos.stored import read_stored
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack, new_stack

_CLIENTS = 4
_POISON_SHARE = 0.0005
_SETTLE_S = 60.0
_REPORT = Path("build/soak.json")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One round. `spread_s` is how long events and faults are spread over, in seconds."""

    events: int
    faults: int
    seed: int
    spread_s: float


class Round:
    """One topic from its first event to its verdict."""

    def __init__(self, stack: Stack, plan: Plan) -> None:
        self._plan = plan
        self._pipeline = Pipeline(stack)
        self._history = History()
        keys = fleet.ingest_keys(self._pipeline)
        self._read_keys = fleet.read_keys(self._pipeline, database=self._pipeline.database)
        self._crew = Crew(self._pipeline, workers=2, gateways=2)
        self._injector = Injector(self._crew, count=plan.faults, spread_s=plan.spread_s, seed=plan.seed)
        self._watch = CommitWatch(self._pipeline, group=self._crew.group, database=self._pipeline.database)
        self._onlooker = Onlooker(self._history, url=lambda: self._crew.query.url, keys=self._read_keys)
        source, pace = Source(lots(plan.seed, events=plan.events)), Pace(plan.events / plan.spread_s)
        self._clients = [
            Client(source, self._history, urls=self._urls, keys=keys, pace=pace, seed=plan.seed + number)
            for number in range(_CLIENTS)
        ]

    def run(self) -> dict[str, Any]:
        """The round's report. Raises what a client, the onlooker or the injector raised."""
        began = time.monotonic()
        try:
            self._crew.start()
            for thread in (self._watch, self._onlooker, *self._clients, self._injector):
                thread.start()
            poisoned = self._poison()
            self._join()
            sent_s = time.monotonic() - began
            settled = self._settle()
            findings = self._findings()
            return self._report(findings, poisoned=poisoned, settled=settled, sent_s=sent_s, took_s=time.monotonic() - began)
        finally:
            self._injector.abandon.set()
            for client in self._clients:
                client.stop.set()
            self._watch.end()
            self._onlooker.end()
            self._pipeline.close()

    def _urls(self) -> Sequence[str]:
        return [one.url for one in self._crew.gateways]

    def _poison(self) -> int:
        """Put records that cannot be read among the others, while those are sent."""
        wanted = max(8, int(self._plan.events * _POISON_SHARE))
        put = 0
        while put < wanted and any(one.is_alive() for one in self._clients):
            try:
                self._pipeline.produce_raw([fleet.poison(put + number) for number in range(4)])
                put += 4
            except (OSError, KafkaError):
                pass  # the broker is away just now
            self._clients[0].stop.wait(self._plan.spread_s / wanted)
        return put

    def _join(self) -> None:
        threads = (*self._clients, self._injector)
        while any(thread.is_alive() for thread in threads):
            self._injector.join(0.2)
            failed = [thread.error for thread in (*threads, self._onlooker) if thread.error is not None]
            if failed:
                raise failed[0]

    def _settle(self) -> bool:
        """Whether all is stored, with everybody back at work."""
        self._crew.revive()
        self._crew.query.wait_ready()
        settled = wait_settled(self._pipeline, database=self._pipeline.database, still_s=_SETTLE_S)
        self._crew.note_metrics()
        self._watch.end()
        self._onlooker.end()
        return settled

    def _findings(self) -> list[Finding]:
        database, history = self._pipeline.database, self._history
        topic = read_topic(self._pipeline)
        self._records = len(topic)
        places = invariants.places_of(topic)
        of_whole = [
            *invariants.check_answers(history),
            *invariants.check_topic(history, places),
            *invariants.check_store(self._pipeline, topic, database=database),
            *invariants.check_ledger(self._pipeline, topic, database=database),
            *(Finding("commits", one) for one in self._watch.findings),
            *self._onlooker.findings,
        ]
        stored = read_stored(self._pipeline, database=database)
        where = whereabouts(history, places, stored)
        self._balance = {str(place): len(offers) for place, offers in where.items()}
        return [
            *of_whole,
            *check_rows(history, stored),
            *check_balance(where, stored),
            *check_shown(history, accounts(history, places), url=self._crew.query.url, keys=self._read_keys),
        ]

    def _report(self, findings: Sequence[Finding], **times: Any) -> dict[str, Any]:
        history, crew, found = self._history, self._crew, broken(findings)
        seen = {
            "records_read_again": max(0, crew.total("records_total") - self._records),
            "rows_repeated": crew.total("rows_repeated_total"),
            "zombies": self._injector.zombies,  # woke up after others had gone on with their partitions
            "late_writes_refused": crew.total("zombie_writes_total"),  # of those who had a transaction to go on with
        }
        return {
            "seed": self._plan.seed,
            "passed": not found,
            "broken": found,
            "examples": examples(findings),
            "events": {"distinct": len(history.offers), **{fate.name.lower(): history.count(fate) for fate in Fate}},
            "balance": {"emitted": len(history.offers), **self._balance},
            "requests": {"sent": history.requests, "resent": history.resent, "by_status": history.by_status},
            "topic_records": self._records,
            "poison": times["poisoned"],
            "faults": len(self._injector.log),
            "faults_by_kind": self._injector.counts,
            "fault_log": self._injector.log,
            "seen": seen,
            "ended_by_themselves": crew.deaths,
            "query_answers": {str(status): count for status, count in sorted(self._onlooker.answers.items())},
            "commit_looks": self._watch.looks,
            "settled": times["settled"],
            "sent_s": round(times["sent_s"], 1),
            "took_s": round(times["took_s"], 1),
        }


def soak(stack: Stack, plans: Sequence[Plan], *, command: str) -> dict[str, Any]:
    """The report of all rounds. Passed only if nothing is broken, all faults took effect, redeliveries and zombies were seen."""
    rounds = [Round(stack, plan).run() for plan in plans]
    found, kinds, seen, balance = (Counter[str]() for _ in range(4))
    for one in rounds:
        found.update(one["broken"])
        kinds.update(one["faults_by_kind"])
        seen.update(one["seen"])
        balance.update(one["balance"])
    dealt = kinds.total() >= sum(plan.faults for plan in plans)
    provoked = dealt and seen["records_read_again"] > 0 and seen["zombies"] > 0
    return {
        "passed": not found and all(one["settled"] for one in rounds) and provoked,
        "command": command,
        "seed": plans[0].seed,
        "events_sent": sum(plan.events for plan in plans),
        "invariants": {name: found[name] for name in INVARIANTS},
        "balance": dict(balance),
        "faults": kinds.total(),
        "faults_by_kind": dict(sorted(kinds.items())),
        "seen": dict(seen),
        "rounds": rounds,
    }


def plans_of(options: argparse.Namespace) -> list[Plan]:
    """Equal rounds of at most `--round-events`."""
    count = -(-options.events // options.round_events)
    spread_s = options.minutes * 60 / count * 0.7  # the rest is for starting, settling and checking
    share = -(-options.faults // count)
    return [
        Plan(events=options.events // count, faults=share, seed=options.seed + number, spread_s=spread_s)
        for number in range(count)
    ]


def main() -> int:
    """Exit code 0 when nothing was lost, doubled or changed."""
    parser = argparse.ArgumentParser(description="Conservation soak on a stack of its own; writes build/soak.json.")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--faults", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=12.0, help="about how long all of it may take")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--round-events", type=int, default=200_000, help="events of one topic; the checker holds these in memory"
    )
    options = parser.parse_args()
    given = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in vars(options).items())
    stack = new_stack()
    try:
        report = soak(stack, plans_of(options), command=f"python -m tests.chaos.soak {given}")
    finally:
        stack.stop()
    _REPORT.parent.mkdir(exist_ok=True)
    _REPORT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: value for name, value in report.items() if name != "rounds"}, indent=1))  # noqa: T201 - for whoever ran it
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
