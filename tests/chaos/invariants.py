"""The checker: what the clients know, what the topic holds and what the store holds, held against each other.

Each function is one witness against another and answers findings by invariant. None of them repairs, waits or forgives.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from servicekit import codec, sql
from stream_workers.core.fold import Tables, fold
from stream_workers.decode import canonical_json
from stream_workers.stored import differences, stored_tables
from tests.chaos.evidence import Logged, ends
from tests.chaos.history import Fate, History, Members, Offer, identity
from tests.support.pipeline import PARTITIONS, Pipeline, readable

INVARIANTS = (
    "answers",  # the gateway's answers add up, and refuse what is unfit and nothing else
    "lost",  # accepted, and not in the topic or not in the store
    "spurious",  # in the topic or the store, and never offered, or refused
    "corrupt",  # stored with other values than offered
    "duplicate",  # counted more or less often than it is stored
    "fold",  # the store is not what the topic amounts to
    "rollups",  # do not add up to their detail
    "ledger",  # does not cover each offset of the topic, or names losses
    "dead_letters",  # are not exactly the records that cannot be read
    "commits",  # the group has committed what the store did not have
    "tenants",  # a project's key shows other runs than the project's
)
_RECOUNT = sql.load(Path(__file__).with_name("recount.sql"))
_EXAMPLES = 5


class Finding(NamedTuple):
    """One broken invariant in one place."""

    invariant: str
    where: str


def broken(findings: Iterable[Finding]) -> dict[str, int]:
    """How often each invariant is broken; those that hold are absent."""
    return dict(Counter(finding.invariant for finding in findings))


def examples(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """A few places for each broken invariant."""
    return {name: [one.where for one in findings if one.invariant == name][:_EXAMPLES] for name in broken(findings)}


def check_answers(history: History) -> Iterator[Finding]:
    """The gateway said nothing that contradicts itself."""
    for complaint in history.findings:
        yield Finding("answers", complaint)


def check_topic(history: History, topic: Sequence[Logged]) -> Iterator[Finding]:
    """Every accepted event is in the topic; nothing is that was not offered, or that was refused."""
    seen: set[bytes] = set()
    for logged in topic:
        try:
            record, _ = codec.read_record(logged.value)
        except ValueError:
            continue
        for event in json.loads(logged.value)["events"]:
            key = identity(record.project, event)
            seen.add(key)
            offer = history.offers.get(key)
            if offer is None or offer.fate == Fate.REFUSED:
                yield Finding("spurious", f"partition {logged.partition} offset {logged.offset}: {event['type']}")
    for key, offer in history.offers.items():
        if offer.fate == Fate.ACCEPTED and key not in seen:
            yield Finding("lost", f"not in the topic: {_name(offer)}")


def check_store(pipeline: Pipeline, history: History, topic: Sequence[Logged], *, database: str) -> Iterator[Finding]:
    """The store holds what was offered and what the topic amounts to, and agrees with itself."""
    found = pipeline.with_store(stored_tables, database=database)
    wanted = fold(readable(logged.value for logged in topic), canonical_json)
    yield from (Finding("fold", line) for line in differences(wanted, found))
    yield from _check_rows(history, found)
    for name, invariant in (("run_counters", "duplicate"), ("step_rollups", "rollups"), ("run_rollups", "rollups")):
        for row in pipeline.sql(_RECOUNT[name], database=database):
            yield Finding(invariant, f"{name}: {' '.join(map(str, row))}")


def _check_rows(history: History, found: Tables) -> Iterator[Finding]:
    """Offers against rows, without the workers' own idea of how the one becomes the other."""
    variants: dict[tuple[Any, ...], list[Members]] = {}
    runs, recorded = set(), set()
    for offer in history.offers.values():
        event = offer.event
        if offer.fate == Fate.REFUSED:
            continue
        runs.add((offer.project, event["run_id"]))
        if event["type"] == "step_finished":
            key = (offer.project, event["run_id"], event["step_id"], event["started_at"])
            variants.setdefault(key, []).append(event)
        elif event["type"] == "failure_recorded":
            recorded.add((offer.project, event["run_id"], event["failure_id"]))
        if offer.fate == Fate.ACCEPTED and not _is_stored(offer, found):
            yield Finding("lost", f"not in the store: {_name(offer)}")
    yield from (Finding("spurious", f"run {key}") for key in found.runs.keys() - runs)
    yield from (Finding("spurious", f"step {key}") for key in found.steps.keys() - variants.keys())
    for key, (failure, _) in found.failures.items():
        if failure.failure_rank == 0 and key not in recorded:
            yield Finding("spurious", f"failure {key}")
    for key, step in found.steps.items():
        if key in variants and not any(_same_step(step, event) for event in variants[key]):
            yield Finding("corrupt", f"step {key}")


def _is_stored(offer: Offer, found: Tables) -> bool:
    event = offer.event
    run = (offer.project, event["run_id"])
    match event["type"]:
        case "step_finished":
            return (*run, event["step_id"], event["started_at"]) in found.steps
        case "failure_recorded":
            return (*run, event["failure_id"]) in found.failures
        case "run_started":
            return run in found.runs and found.runs[run][0].start is not None
        case "run_finished":
            return run in found.runs and found.runs[run][0].end is not None
        case "events_dropped":
            loss = found.losses.get((*run, offer.producer, event["reason"]))
            return loss is not None and loss.total >= event["total"]
        case _:
            return run in found.runs


def _same_step(step: Any, event: Members) -> bool:
    metadata = event.get("metadata") or None
    stored = None if step.metadata is None else json.loads(step.metadata)
    return (step.seq, step.duration_us, step.kind, step.name, step.status, step.attempt, stored) == (
        *(event["seq"], event["duration_us"], event["kind"], event["name"], event.get("status", "ok")),
        *(event.get("attempt", 1), metadata),
    )


def check_ledger(pipeline: Pipeline, topic: Sequence[Logged], *, database: str) -> Iterator[Finding]:
    """Every offset is covered, by one range from 0 to the end, and none is lost; unreadable records are dead letters."""
    covered = {row["partition"]: row for row in pipeline.sql(_RECOUNT["ledger"], pipeline.topic, database=database)}
    for number, end in ends(pipeline).items():
        row = covered.get(number)
        said = row["covered"] if row else "{}"
        if said != (f"{{[0,{end})}}" if end else "{}") or (row and row["lost"] != "{}"):
            yield Finding("ledger", f"partition {number}: {said} of {end}, lost {row['lost'] if row else '{}'}")
    if set(covered) - set(range(PARTITIONS)):
        yield Finding("ledger", "a partition that the topic does not have")
    letters = pipeline.sql(_RECOUNT["dead_letters"], pipeline.topic, database=database)
    buried = {(row["partition"], row["record_offset"]) for row in letters if row["reason"]}
    unreadable = {(one.partition, one.offset) for one in topic if not readable([one.value])}
    for partition, offset in buried ^ unreadable:
        yield Finding("dead_letters", f"partition {partition} offset {offset}")


def check_tenants(history: History, *, url: str, keys: Mapping[str, str]) -> Iterator[Finding]:
    """Through the query service each project's key shows that project's runs and no other."""
    offered = {project: set[str]() for project in keys}
    for offer in history.offers.values():
        if offer.fate != Fate.REFUSED:
            offered[offer.project].add(offer.event["run_id"])
    for project, key in keys.items():
        with httpx.Client(base_url=url, headers={"x-api-key": key}, timeout=30) as client:
            shown = list(_run_ids(client))
            foreign = set(shown) - offered[project]
            yield from (Finding("tenants", f"{project} sees run {run_id} in its list") for run_id in foreign)
            if len(shown) != len(set(shown)):
                yield Finding("tenants", f"{project} sees {len(shown) - len(set(shown))} runs more than once in its list")
            others = sorted(set[str]().union(*offered.values()) - offered[project])[:20]
            for run_id in others:
                if client.get(f"/v1/runs/{run_id}").status_code != httpx.codes.NOT_FOUND:
                    yield Finding("tenants", f"{project} can open run {run_id}")


def _run_ids(client: httpx.Client) -> Iterator[str]:
    cursor: dict[str, str] = {}
    while True:
        answer = client.get("/v1/runs", params={"limit": 500, **cursor})
        answer.raise_for_status()
        page = answer.json()
        yield from (run["run_id"] for run in page["runs"])
        if not page.get("next_cursor"):
            return
        cursor = {"cursor": page["next_cursor"]}


def _name(offer: Offer) -> str:
    event = offer.event
    return f"{event['type']} {offer.project} {event['run_id']} {event.get('step_id', event.get('seq', ''))}"
