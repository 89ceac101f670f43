"""What does not fit: refused where it is needed, left out and counted where it is not, and never repeated in an error."""

from typing import Any

import pytest

from agenttracer.wire.envelope import BATCH_MAX_EVENTS
from agenttracer.wire.errors import ContractError
from agenttracer.wire.events import METADATA_MAX_KEYS, StepFinished
from agenttracer.wire.reader import Lenient, Unfit, metadata_rule, read_batch_head, read_event, read_record
from agenttracer.wire.vocabulary import CONTENT_WORDS, INVALID_NAME

RUN = "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0"
STEP: dict[str, Any] = {
    "type": "step_finished",
    "run_id": RUN,
    "seq": 1,
    "step_id": "00f067aa0ba902b7",
    "kind": "tool",
    "name": "lookup",
    "started_at": 1_768_469_400_000_000,
    "duration_us": 5,
    "status": "ok",
}


@pytest.mark.parametrize(
    ("member", "value", "rule"),
    [
        ("run_id", "019BBFA2-7c1e-7d3a-9f00-5b6c7d8e9fa0", "run_id"),
        ("run_id", 7, "type"),
        ("step_id", "00f067aa0ba902b", "step_id"),
        ("step_id", "0" * 17, "step_id"),
        ("seq", -1, "range"),
        ("seq", 2**31 - 1, "range"),
        ("seq", 2**31, "range"),
        ("seq", True, "type"),
        ("seq", 1.0, "type"),
        ("seq", None, "missing"),
        ("kind", "dream", "unknown_value"),
        ("kind", ["tool"], "unknown_value"),
        ("status", "OK", "unknown_value"),
        ("started_at", 0, "range"),
        ("started_at", 2**63, "range"),
        ("duration_us", -1, "range"),
        ("name", 7, "type"),
    ],
)
def test_a_required_member_that_does_not_fit_refuses_the_event(member: str, value: object, rule: str) -> None:
    """Both readers refuse it, by field and rule, and the error does not repeat the value."""
    for unfit in (Unfit(), Lenient()):
        with pytest.raises(ContractError) as refused:
            read_event({**STEP, member: value}, unfit)
        assert (refused.value.field, refused.value.rule) == (member, rule)
        assert str(refused.value) == f"{member}: {rule}"


@pytest.mark.parametrize(
    ("member", "value", "field", "rule"),
    [
        ("parent_step_id", "xyz", "parent_step_id", "step_id"),
        ("attempt", 0, "attempt", "range"),
        ("attempt", "2", "attempt", "type"),
        ("evidence", "text", "evidence", "type"),
        ("evidence", {"error_class": "a sentence"}, "evidence.error_class", "name"),
        ("evidence", {"http_status": 99}, "evidence.http_status", "range"),
        ("work_digest", "ABCDEF0123456789", "work_digest", "work_digest"),
        ("session_digest", "0" * 31, "session_digest", "session_digest"),
        ("redacted", 0, "redacted", "range"),
        ("returned_error", True, "returned_error", "type"),
        ("returned_error", {"code": "Not A Code"}, "returned_error.code", "code"),
        ("returned_error", {"exit_status": 2**31}, "returned_error.exit_status", "range"),
        ("agent", {"name": "a", "end_reason": "bored"}, "agent.end_reason", "unknown_value"),
        ("agent", {"version": "1"}, "agent.name", "missing"),
        ("cost", {"nano": 1}, "cost.currency", "missing"),
        ("cost", {"nano": 10**12, "currency": "USD"}, "cost.nano", "range"),
        ("cost", {"nano": 1, "currency": "usd"}, "cost.currency", "currency"),
        ("metadata", [1], "metadata", "type"),
        ("metadata", {"Key": 1}, "metadata", "metadata_key"),
        ("metadata", {"key": "two words"}, "metadata", "metadata_value"),
        ("metadata", {"prompt": "word"}, "metadata", "content_key"),
        ("metadata", {f"k{n}": n for n in range(METADATA_MAX_KEYS + 1)}, "metadata", "too_many_keys"),
    ],
)
def test_an_optional_member_that_does_not_fit_is_left_out_at_the_gateway(
    member: str, value: object, field: str, rule: str
) -> None:
    """The lenient reader keeps the event and counts the rule, the strict one refuses and names the field."""
    unfit = Lenient()
    event = read_event({**STEP, member: value}, unfit)
    assert isinstance(event, StepFinished)
    assert unfit.notes.dropped == {rule: 1}
    assert len(event.metadata) == (METADATA_MAX_KEYS if rule == "too_many_keys" else 0)
    with pytest.raises(ContractError) as refused:
        read_event({**STEP, member: value}, Unfit())
    assert (refused.value.field, refused.value.rule) == (field, rule)


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("look up order", "look-up-order"),
        ("  look \n up\torder ", "look-up-order"),
        ("order@home", INVALID_NAME),
        ("", INVALID_NAME),
        ("-x", INVALID_NAME),
        ("x" * 65, INVALID_NAME),
        ("x " * 10_000, INVALID_NAME),
        ("naïve", INVALID_NAME),
        ("nul\x00", INVALID_NAME),
        ("x\n", "x"),
    ],
)
def test_a_required_name_that_does_not_fit_is_put_right_or_replaced(name: str, becomes: str) -> None:
    """Spaces become hyphens; what still does not fit is the placeholder; counted once either way."""
    unfit = Lenient()
    event = read_event({**STEP, "name": name}, unfit)
    assert isinstance(event, StepFinished)
    assert event.name == becomes
    assert unfit.notes.dropped == {"name": 1}


def test_the_placeholder_is_a_name_to_both_readers_and_a_label_to_none() -> None:
    """What one hop replaced, the next one takes; nobody can pass it in metadata."""
    assert read_event({**STEP, "name": INVALID_NAME}, Unfit())
    assert metadata_rule("key", INVALID_NAME) == "metadata_value"


@pytest.mark.parametrize("name", ["a", "9", "gpt-4o/mini", "tools.v2:lookup+1", "x" * 64])
def test_names_of_the_form_are_kept(name: str) -> None:
    """Letters, digits and `_.:/+-`, up to 64, beginning with a letter or digit."""
    unfit = Lenient()
    event = read_event({**STEP, "name": name}, unfit)
    assert isinstance(event, StepFinished)
    assert event.name == name
    assert not unfit.notes.dropped


@pytest.mark.parametrize("word", sorted(CONTENT_WORDS))
def test_keys_that_name_content_take_numbers_only(word: str) -> None:
    """Whole dotted segments count, parts of words do not."""
    for key in (word, f"tool.{word}", f"{word}.size"):
        assert metadata_rule(key, "label") == "content_key"
        assert metadata_rule(key, 12) is None
        assert metadata_rule(key, True) is None  # noqa: FBT003 - a value of metadata
    assert metadata_rule(f"{word}_tokens", "label") is None


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("k", 2**63 - 1, None),
        ("k", -(2**63), None),
        ("k", 2**63, "metadata_value"),
        ("k", -(2**63) - 1, "metadata_value"),
        ("k", float("inf"), "metadata_value"),
        ("k", float("nan"), "metadata_value"),
        ("k", None, "metadata_value"),
        ("k", {}, "metadata_value"),
        ("k", "", "metadata_value"),
        ("k", "x" * 65, "metadata_value"),
        ("k", "nul\x00", "metadata_value"),
        ("", 1, "metadata_key"),
        ("_k", 1, "metadata_key"),
        ("k" * 65, 1, "metadata_key"),
        ("k\x00", 1, "metadata_key"),
    ],
)
def test_metadata_takes_bounded_keys_numbers_and_labels(key: str, value: object, rule: str | None) -> None:
    """int64, finite floats, booleans, labels; keys in lower case."""
    assert metadata_rule(key, value) == rule


def record(**members: object) -> dict[str, object]:
    producer = {"id": "p", "agent": "a", "agent_version": "1"}
    return {"v": "1.0", "project": "acme", "producer": producer, "received_at": 10**15, "events": [STEP], **members}


@pytest.mark.parametrize(
    ("members", "field", "rule"),
    [
        ({"events": []}, "events", "range"),
        ({"events": None}, "events", "type"),
        ({"events": [STEP] * (BATCH_MAX_EVENTS + 1)}, "events", "range"),
        ({"events": [STEP, {**STEP, "seq": -1}]}, "events[1].seq", "range"),
        ({"events": [STEP, {**STEP, "run_id": RUN[:-1] + "1"}]}, "events", "one_run"),
        ({"producer": None}, "producer", "missing"),
        ({"producer": {"id": "p"}}, "producer.agent", "missing"),
        ({"project": "two words"}, "project", "name"),
        ({"received_at": -1}, "received_at", "range"),
    ],
)
def test_a_record_is_right_or_refused(members: dict[str, object], field: str, rule: str) -> None:
    """A worker takes no half records, and says where it is wrong."""
    with pytest.raises(ContractError) as refused:
        read_record(record(**members))
    assert (refused.value.field, refused.value.rule) == (field, rule)


def test_a_batchs_events_are_left_to_be_read_one_by_one() -> None:
    """One event that is wrong does not cost a batch the others."""
    version, producer, items = read_batch_head(record(events=[STEP, "junk"]), Lenient())
    assert (version, producer.agent, len(items)) == ("1.0", "a", 2)
