"""The fast codec and the reference reader accept the same input and read the same from it."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agenttracer.wire import reader, writer
from agenttracer.wire.errors import ContractError
from servicekit import codec
from tests.support.traffic import Traffic

_JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=70),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
_PLAUSIBLE = st.sampled_from(
    [
        "",
        "a b",
        "x" * 65,
        "step_finished",
        "tool",
        "ok",
        "2.0",
        "1.7",
        "ABCDEF0123456789",
        "\u0000",
        "é",
        -1,
        0,
        2**31,
        2**63,
        1.0,
        {},
        [],
    ]
)


def _members(seed: int) -> dict:
    """Of the first record of a run. One run in some ten thousand loses all its events; then it is the next seed's."""
    traffic = Traffic(seed)
    records = traffic.records(traffic.runs(1, steps=2))
    return json.loads(writer.to_json(records[0])) if records else _members(seed + 1)


def _by_reference(data: bytes) -> object:
    try:
        record, notes = reader.read_record(codec.parse(data))
    except ContractError as error:
        return error.field, error.rule
    return writer.to_json(record), notes.unknown


def _by_codec(data: bytes) -> object:
    try:
        record, notes = codec.read_record(data)
    except ContractError as error:
        return error.field, error.rule
    return json.dumps(json.loads(codec.encode_record(record)), separators=(",", ":")).encode(), notes.unknown


def _sorted(found: object) -> object:
    if isinstance(found, tuple) and isinstance(found[0], bytes):
        return json.dumps(json.loads(found[0]), sort_keys=True), found[1]
    return found


@settings(max_examples=600, deadline=None)
@given(seed=st.integers(0, 500), data=st.data())
def test_both_readers_agree_on_damaged_records(seed: int, data: st.DataObject) -> None:
    """One member, somewhere in a record, replaced, removed or added: the same verdict, the same record, the same count."""
    record = _members(seed)
    place = record
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
            place = place[key]
            continue
        break
    action = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if action == "replace":
        place[key] = data.draw(st.one_of(_JUNK, _PLAUSIBLE))
    elif action == "remove":
        del place[key]
    elif isinstance(place, dict):
        place[data.draw(st.text(max_size=8))] = data.draw(_JUNK)
    body = json.dumps(record).encode()
    assert _sorted(_by_codec(body)) == _sorted(_by_reference(body))


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_good_record_comes_back_whole(seed: int) -> None:
    """Writer, fast reader, fast writer: nothing is lost or added."""
    members = _members(seed)
    record, notes = codec.read_record(json.dumps(members).encode())
    assert json.loads(codec.encode_record(record)) == members
    assert notes.unknown == 0


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused(number: float) -> None:
    """NaN and infinities are no JSON."""
    with pytest.raises(ContractError, match="json"):
        codec.parse(json.dumps({"x": number}).encode())


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'"\\ud800"', b"[" * 100_000])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """Cut off, not UTF-8, a lone surrogate, absurdly deep: an error of the contract, never another."""
    with pytest.raises(ContractError):
        codec.read_record(body)


@pytest.mark.parametrize("placeholder", ["__invalid__", "__redacted__", "__other__"])
def test_a_placeholder_stands_for_a_required_name_alone(placeholder: str) -> None:
    """A batch with one where a name may be absent is not flawless: nobody could read the record that it would become."""
    event = {
        "type": "run_started",
        "run_id": "019ab0de-7c1e-7000-8000-000000000001",
        "seq": 0,
        "started_at": 1_768_469_400_000_000,
    }
    batch = {"v": "1.1", "producer": {"id": "p", "agent": placeholder, "agent_version": "1"}, "events": [event]}
    assert codec.read_batch(json.dumps(batch).encode()) is not None
    batch["producer"] = {"id": "p", "agent": "a", "agent_version": "1", "sdk": placeholder}
    assert codec.read_batch(json.dumps(batch).encode()) is None
