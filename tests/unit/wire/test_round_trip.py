"""Everything the contract can say survives writing and reading; everything else is refused without crash or echo."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agenttracer.wire.envelope import Record
from agenttracer.wire.errors import ContractError
from agenttracer.wire.events import Event
from agenttracer.wire.reader import Lenient, Unfit, read_event, read_record
from agenttracer.wire.writer import to_json, to_members
from tests.unit.wire.shapes import events_of, records

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(event=events_of())
@settings(max_examples=150, deadline=None)
def test_any_event_survives(event: Event) -> None:
    """Object to JSON to object is the same object."""
    assert read_event(json.loads(to_json(event)), Unfit()) == event


@given(record=records)
@settings(max_examples=50, deadline=None)
def test_any_record_survives(record: Record) -> None:
    """A record of any events of one run is read back as it was, with nothing left out."""
    found, notes = read_record(json.loads(to_json(record)))
    assert found == record
    assert notes.unknown == 0


@given(event=events_of(), member=st.integers(0, 20), junk=JSON)
@settings(max_examples=200, deadline=None)
def test_a_spoiled_member_is_refused_or_left_out_and_never_let_through(event: Event, member: int, junk: object) -> None:
    """Whatever stands in a member, the reader's answer is a contract object that fits, or ContractError."""
    members = to_members(event)
    members[sorted(members)[member % len(members)]] = junk
    try:
        found = read_event(members, Lenient())
    except ContractError:
        return
    assert read_event(json.loads(to_json(found)), Unfit()) == found


@given(junk=JSON)
@settings(max_examples=100, deadline=None)
def test_junk_is_refused(junk: object) -> None:
    """No JSON value makes the reader fail in any other way than ContractError."""
    with pytest.raises(ContractError):
        read_event(junk, Lenient())
    with pytest.raises(ContractError):
        read_record(junk)
