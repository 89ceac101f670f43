"""Offers against rows, member by member: the checker's proof that nothing is lost, made up or changed on the way to the store.

Nothing of the workers' code is used here, so a fault in it cannot hide behind itself, as it could behind the fold. Where
several events say different things of one row, the row must be one of them, whole; which one, the fold tells.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, NamedTuple

from agenttracer.wire.events import EVENT_KINDS, RUN_SCOPE_ID, Evidence
from tests.chaos.finding import Finding
from tests.chaos.history import Fate, History, Members, Offer
from tests.chaos.stored import Key, Row, Stored, as_text


def check_rows(history: History, stored: Stored) -> Iterator[Finding]:
    """Every member that was offered, in every table that holds one."""
    offers = [offer for offer in history.offers.values() if offer.fate != Fate.REFUSED]
    yield from _check_there(offers, stored)
    yield from _check_details(offers, stored)
    yield from _check_runs(offers, stored)
    yield from _check_numbers(offers, stored)
    yield from _check_extremes(offers, stored)


def said(offer: Offer) -> Members:
    """Every member of an event: absent ones as the contract's default, those of its evidence among them, and who said it."""
    event = offer.event
    members = {**_DEFAULTS[event["type"]], **event, **_NO_EVIDENCE, **(event.get("evidence") or {})}
    members |= _SINCE_1_1.get(event["type"], dict)(members)
    if "metadata" in members:
        members["metadata"] = as_text(members["metadata"])
    who = {"agent": offer.producer["agent"], "agent_version": offer.producer["agent_version"]}
    return {name: value for name, value in members.items() if name not in _NESTED} | {
        "project": offer.project,
        **who,
    }


def _of_step(step: Members) -> Members:
    """What contract 1.1 nests in a step, and what a row repeats of its metadata."""
    error, agent, cost, metadata = (step[name] or {} for name in ("returned_error", "agent", "cost", "metadata"))
    tokens = {name: metadata.get(name) for name in ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens")}
    return {
        "returned_code": None if step["returned_error"] is None else error.get("code", "error"),
        **{f"returned_{name}": error.get(name) for name in ("http_status", "exit_status", "error_class")},
        "own_agent": agent.get("name"),
        "own_agent_version": agent.get("version"),
        "own_end_reason": agent.get("end_reason"),
        "cost_nano": cost.get("nano"),
        "cost_currency": cost.get("currency"),
        "model": metadata["model"] if isinstance(metadata.get("model"), str) else None,
        **{name: value if type(value) is int and 0 <= value < 2**31 else None for name, value in tokens.items()},
    }


def _of_start(start: Members) -> Members:
    return {"declared_kind": None if start["kind"] == "agent" else start["kind"]}


def _of_end(end: Members) -> Members:
    """A reason that contradicts the status is not kept."""
    reason, status = end["end_reason"], end["status"]
    if reason == "completed":
        fits = status in {"success", "partial"}
    elif reason == "error" or str(reason).startswith("limit_"):
        fits = status == "failure"
    else:
        fits = status == "partial"
    return {"end_reason": reason if fits else None, "end_rank": 0 if end["parent_step_id"] is None else 1}


def _end_of_agent(step: Members) -> Members:
    """The end of a run that a step is which executes an agent."""
    reason = step["agent"].get("end_reason")
    status = "failure" if step["status"] == "error" else "success"
    if str(reason).startswith("limit_") or reason == "error":
        status = "failure"
    elif reason not in {None, "completed"}:
        status = "partial"
    kept = None if reason == "completed" and status == "failure" else reason
    ended_at = step["started_at"] + step["duration_us"]
    return {"ended_at": ended_at, "status": status, "emitted": 0, "end_reason": kept, "end_rank": 2}


_SINCE_1_1: Mapping[str, Callable[[Members], Members]] = {
    "step_finished": _of_step,
    "run_started": _of_start,
    "run_finished": _of_end,
}
_NESTED = {"type", "evidence", "returned_error", "cost"}


def _check_there(offers: list[Offer], stored: Stored) -> Iterator[Finding]:
    """What was accepted has a row, and what failed has left a failure."""
    for offer in offers:
        if offer.fate != Fate.ACCEPTED:
            continue
        if not stored.holds(offer):
            yield Finding("lost", f"not in the store: {name_of(offer)}")
        elif (failure_id := _failing(offer.event)) and (*offer.run, failure_id) not in stored.failures:
            yield Finding("lost", f"no failure of {name_of(offer)}")


def _failing(event: Members) -> str | None:
    """Under which id there must be a failure because of this event."""
    if event.get("cause_step_id"):
        return None
    if event["type"] == "step_finished" and event["status"] == "error":
        return str(event["step_id"])
    if event["type"] == "run_finished" and event["status"] == "failure" and event.get("evidence"):
        return RUN_SCOPE_ID
    return None


# -- rows that hold one event ---------------------------------------------------------------------------------------------


def _recorded(failure: Members) -> Members:
    return {**failure, "failure_rank": 0}


def _found_in_step(step: Members) -> Members:
    """What a failure that is found in a step takes over from it."""
    taken = ("project", "run_id", "seq", "step_id", "attempt", "agent", "agent_version", *_NO_EVIDENCE)
    own = {"failure_rank": 1, "failure_id": step["step_id"], "occurred_at": step["started_at"] + step["duration_us"]}
    told: Members = {}
    if step["status"] == "ok" and step["returned_code"] is not None:  # its own facts stand for those of an exception
        facts = ("error_class", step["returned_error_class"]), ("error_code", step["returned_code"])
        told = {**_NO_EVIDENCE, **dict(facts), "http_status": step["returned_http_status"]}
    return {**{name: step[name] for name in taken}, **_NO_MESSAGE, **own, **told}


def _found_in_end(end: Members) -> Members:
    """The same of a run's end, which is in no step."""
    taken = ("project", "run_id", "seq", "agent", "agent_version", *_NO_EVIDENCE)
    own = {"failure_rank": 2, "failure_id": RUN_SCOPE_ID, "occurred_at": end["ended_at"], "step_id": None, "attempt": None}
    limit: Members = {}
    if str(end["end_reason"]).startswith("limit_"):
        limit = {**_NO_EVIDENCE, "error_class": end["error_class"], "error_code": end["end_reason"]}
    return {**{name: end[name] for name in taken}, **_NO_MESSAGE, **own, **limit}


def _derived(step: Members) -> Members:
    """A failure of all steps stands at one of them, and has no evidence."""
    taken = ("project", "run_id", "seq", "step_id", "agent", "agent_version")
    own = {"failure_rank": 3, "occurred_at": step["started_at"], "attempt": None}
    return {**{name: step[name] for name in taken}, **_NO_EVIDENCE, **_NO_MESSAGE, **own}


class _Source(NamedTuple):
    """Which event a row is made from: its kind, the row's column with its id, and how it is made."""

    type: str
    id_column: str | None
    make: Callable[[Members], Members]


_NO_EVIDENCE: Members = {field.name: None for field in fields(Evidence)}
_NO_MESSAGE: Members = {"message_chars": None, "message_fingerprint": None}
_STEP = _Source("step_finished", "step_id", dict)
_FAILURE_BY_RANK = {
    0: _Source("failure_recorded", "failure_id", _recorded),
    1: _Source("step_finished", "failure_id", _found_in_step),
    2: _Source("run_finished", None, _found_in_end),
    3: _Source("step_finished", "step_id", _derived),
}


def _check_details(offers: list[Offer], stored: Stored) -> Iterator[Finding]:
    """A step or failure is, to the last member, what one of the events says from which it may have been made."""
    by_id: dict[Key, list[Offer]] = defaultdict(list)
    for offer in offers:
        event = offer.event
        own = {"step_finished": "step_id", "failure_recorded": "failure_id"}.get(event["type"])
        by_id[(*offer.run, event["type"], event[own] if own else None)].append(offer)
    sources = [("step", key, row, _STEP) for key, row in stored.steps.items()]
    sources += [("failure", key, row, _FAILURE_BY_RANK[row["failure_rank"]]) for key, row in stored.failures.items()]
    for what, key, row, source in sources:
        event_id = row[source.id_column] if source.id_column else None
        made = [source.make(said(offer)) for offer in by_id.get((*key[:2], source.type, event_id), ())]
        if not made:
            yield Finding("spurious", f"{what} {key}")
        elif all(differing(one, row) for one in made):
            yield Finding("corrupt", f"{what} {key}: {', '.join(differing(made[0], row))}")


def differing(wanted: Members, row: Row) -> list[str]:
    """The names of members that a row does not have, or has otherwise."""
    return sorted(name for name, value in wanted.items() if name not in row or row[name] != value)


# -- runs: the winning start, the winning end, who it was -----------------------------------------------------------------

_RUN_PARTS = {
    "run_started": ("started_at", "parent_run_id", "parent_step_id", "metadata", "declared_kind"),
    "run_finished": ("ended_at", "status", "emitted", "end_reason", "end_rank"),
}


def _check_runs(offers: list[Offer], stored: Stored) -> Iterator[Finding]:
    """A run's start and end are each one of those that were offered, and never a mixture."""
    parts: dict[Key, list[Members]] = defaultdict(list)
    who: dict[Key, set[Key]] = defaultdict(set)
    for offer in offers:
        members = said(offer)
        who[offer.run].add((members["agent"], members["agent_version"]))
        if names := _RUN_PARTS.get(offer.event["type"]):
            parts[(*offer.run, offer.event["type"])].append({name: members[name] for name in names})
        if offer.event.get("agent"):
            parts[(*offer.run, "run_finished")].append(_end_of_agent(offer.event))
    for key, row in stored.runs.items():
        if key not in who:
            yield Finding("spurious", f"run {key}")
            continue
        if (row["agent"], row["agent_version"]) not in who[key]:
            yield Finding("corrupt", f"run {key}: agent")
        for kind, names in _RUN_PARTS.items():
            absent = row[names[0]] is None  # whether it may be, `_check_there` says
            if not absent and all(differing(one, row) for one in parts[(*key, kind)]):
                yield Finding("corrupt", f"run {key}: {', '.join(names)}")


# -- what many events add up to -------------------------------------------------------------------------------------------


def _check_numbers(offers: list[Offer], stored: Stored) -> Iterator[Finding]:
    """A producer's sequence numbers: all that were accepted, and none that were not offered."""
    offered: dict[Key, set[int]] = defaultdict(set)
    accepted: dict[Key, set[int]] = defaultdict(set)
    for offer in offers:
        if "seq" in offer.event:
            key = (*offer.run, offer.producer["id"])
            offered[key].add(offer.event["seq"])
            if offer.fate == Fate.ACCEPTED:
                accepted[key].add(offer.event["seq"])
    seen = {key: row["seen"] for key, row in stored.producers.items()}
    for key, numbers in accepted.items():
        if missing := numbers - seen.get(key, set()):
            yield Finding("lost", f"numbers {sorted(missing)} of {key}")
    for key, numbers in seen.items():
        if more := numbers - offered[key]:
            yield Finding("spurious", f"numbers {sorted(more)} of {key}")


_Claim = tuple[str, Key, str, Any]
"""Table, key, column, value: what an event says of a column that keeps the least or the greatest of all that is said."""
_LEAST = {"started_at", "session_digest", "first_ended_at", "first_event_at"}
_DATING = {"first_event_at", "last_event_at"}


def _claims(offer: Offer) -> Iterator[_Claim]:
    event, run, producer = offer.event, offer.run, offer.producer["id"]
    if event.get("session_digest"):
        yield "runs", run, "session_digest", event["session_digest"]
    match event["type"]:
        case "run_started":
            began = ended = event["started_at"]
            yield "runs", run, "started_at", began
            if "abandon_after_s" in event:
                yield "runs", run, "abandon_after_s", event["abandon_after_s"]
        case "step_finished":
            began, ended = event["started_at"], event["started_at"] + event["duration_us"]
            if event.get("agent"):
                yield "runs", run, "end", (-2, ended)
        case "failure_recorded":
            began = ended = event["occurred_at"]
        case "run_finished":
            began = ended = event["ended_at"]
            yield "runs", run, "end", (-1 if event.get("parent_step_id") else 0, ended)
            yield "runs", run, "first_ended_at", ended
            yield "producers", (*run, producer), "emitted", event["emitted"]
        case "run_heartbeat":
            began = ended = event["at"]
        case _:
            yield "losses", (*run, producer, event["reason"]), "total", event["total"]
            return
    yield "runs", run, "first_event_at", began
    yield "runs", run, "last_event_at", ended


def _check_extremes(offers: list[Offer], stored: Stored) -> Iterator[Finding]:
    """Such a column holds a value that was offered, and none that was accepted goes beyond it."""
    offered: dict[Key, set[Any]] = defaultdict(set)
    accepted: dict[Key, set[Any]] = defaultdict(set)
    for offer in offers:
        for *place, value in _claims(offer):
            offered[tuple(place)].add(value)
            if offer.fate == Fate.ACCEPTED:
                accepted[tuple(place)].add(value)
    reported = {offer.run for offer in offers if offer.event["type"] == "events_dropped"}
    for place, values in accepted.items():
        table, key, column = place
        value = getattr(stored, table).get(key, {}).get(column)
        best = min if column in _LEAST else max
        by_receipt = column in _DATING and key in reported  # a report alone has no time but that of its receipt
        if value is None or best(value, *values) != value:
            yield Finding("lost", f"{table} {key}: {column}")
        elif value not in offered[place] and not by_receipt:
            yield Finding("corrupt", f"{table} {key}: {column}")
    for key in stored.losses.keys() - {key for table, key, _ in offered if table == "losses"}:
        yield Finding("spurious", f"loss {key}")


def name_of(offer: Offer) -> str:
    """An event in words."""
    event = offer.event
    return f"{event['type']} {offer.project} {event['run_id']} {event.get('step_id', event.get('seq', ''))}"


def _default(field: "Field[Any]") -> Any:
    return field.default if field.default is not MISSING else {}  # the one factory of the contract makes metadata


_DEFAULTS: Mapping[str, Members] = {
    kind.type: {
        field.name: _default(field)
        for field in fields(kind)
        if not (field.default is MISSING and field.default_factory is MISSING)
    }
    for kind in EVENT_KINDS
}
