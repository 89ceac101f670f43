"""The store's rows in the words of the contract, read by statements of the checker's own. Nothing here judges."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from servicekit import sql
from tests.chaos.history import Members, Offer
from tests.support.pipeline import Pipeline

_ROWS = sql.load(Path(__file__).with_name("rows.sql"))
Key = tuple[Any, ...]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Stored:
    """Rows by key."""

    steps: Mapping[Key, Row]
    failures: Mapping[Key, Row]
    runs: Mapping[Key, Row]
    producers: Mapping[Key, Row]
    losses: Mapping[Key, Row]
    covered: Mapping[int, list[asyncpg.Range]]
    dead_letters: frozenset[tuple[int, int]]

    def holds(self, offer: Offer) -> bool:
        """Whether there is a row that this event would have made."""
        event, run = offer.event, offer.run
        match event["type"]:
            case "step_finished":
                return (*run, event["step_id"], event["started_at"]) in self.steps
            case "failure_recorded":
                return self.failures.get((*run, event["failure_id"]), {}).get("failure_rank") == 0
            case "run_started":
                return self.runs.get(run, {}).get("started_at") is not None
            case "run_finished":
                return self.runs.get(run, {}).get("ended_at") is not None
            case "events_dropped":
                return (*run, offer.producer["id"], event["reason"]) in self.losses
            case _:
                return run in self.runs

    def covers(self, partition: int, offset: int) -> bool:
        """Whether the ledger says that this record is dealt with."""
        return any(part.lower <= offset < part.upper for part in self.covered.get(partition, []))


def read_stored(pipeline: Pipeline, *, database: str) -> Stored:
    """All of it, when nobody writes any more."""

    def by(name: str, *key: str, change: Callable[[Members], Members] = dict) -> dict[Key, Row]:
        found = pipeline.sql(*_ROWS[name].bind(), database=database)
        return {tuple(row[part] for part in ("project", "run_id", *key)): change(row) for row in found}

    covered = pipeline.sql(*_ROWS["covered"].bind(topic=pipeline.topic), database=database)
    letters = pipeline.sql(*_ROWS["dead_letters"].bind(topic=pipeline.topic), database=database)
    return Stored(
        steps=by("steps", "step_id", "started_at", change=_with_metadata),
        failures=by("failures", "failure_id"),
        runs=by("runs", change=_with_end),
        producers=by("producers", "producer", change=_with_numbers),
        losses=by("losses", "producer", "reason"),
        covered={row["partition"]: row["covered"] for row in covered},
        dead_letters=frozenset((row["partition"], row["record_offset"]) for row in letters),
    )


def as_text(metadata: Members) -> str:
    """Metadata in a form in which 1, 1.0 and true are three things."""
    return json.dumps(metadata, sort_keys=True)


def _with_metadata(row: Members) -> Members:
    return {**row, "metadata": as_text(json.loads(row["metadata"] or "{}"))}


def _with_end(row: Members) -> Members:
    """With what decides which end it is, the greatest."""
    return {**_with_metadata(row), "end": None if row["ended_at"] is None else (-row["end_rank"], row["ended_at"])}


def _with_numbers(row: Members) -> Members:
    return {**row, "seen": frozenset(number for part in row["seen"] for number in range(part.lower, part.upper))}
