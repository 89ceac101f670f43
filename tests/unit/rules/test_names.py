"""What may be a name, what becomes one, and what is replaced."""

import random
import time
from collections.abc import Callable
from uuid import UUID

import pytest

from agenttracer.rules.names.detectors import DETECTORS, Detector, hit, hit_number, is_random_id
from agenttracer.rules.names.fit import (
    LABELS_MAX,
    REGISTERED_KEYS,
    Fitting,
    entry_rule,
    fit,
    is_clean,
    is_clean_code,
    is_clean_id,
)
from agenttracer.wire import form
from agenttracer.wire.vocabulary import INVALID_NAME, REDACTED_NAME, RESERVED_NAMES
from docs.generate.detector_examples import EXAMPLES
from producer_gateway.events.run_to_events import new_run_id


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)
def test_a_detector_hits_and_leaves_what_the_page_says(detector: Detector) -> None:
    """The examples are true, each by its own detector, and nothing hits what one leaves."""
    hits, leaves = EXAMPLES[detector.name]
    assert hits
    assert leaves
    for text in hits:
        assert detector.may_hold(text), text
        assert detector.finds(text), text
    for text in leaves:
        assert hit(text) is None, text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("lookup_order", "lookup_order"),
        ("Triage Agent", "Triage-Agent"),
        ("  look \n up\torder ", "look-up-order"),
        ("execute_tool get_weather", "execute_tool-get_weather"),
        ("chat gpt-4o", "chat-gpt-4o"),
        ("one two three four", "one-two-three-four"),
        ("claude-3-5-sonnet@20240620", "claude-3-5-sonnet:20240620"),
        ("text-bison@001", "text-bison:001"),
        ("gemini-pro@latest", "gemini-pro:latest"),
        ("~0a1b2c3d4e", "~0a1b2c3d4e"),
    ],
)
def test_what_becomes_a_name(text: str, name: str) -> None:
    """A name as it is, up to four words, a model with its version."""
    assert fit(text).name == name
    assert fit(text).rule == (None if name == text else "name")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "one two 3.5 four five",
        "order@home",
        "-x",
        "x" * 65,
        "x " * 10_000,
        "naïve",
        "nul\x00",
        "查询订单",
        "a@latest@001",
    ],
)
def test_nothing_else_becomes_a_name(text: str) -> None:
    """It is the placeholder, and no text of any kind or length raises."""
    assert fit(text) == Fitting(INVALID_NAME, "name")


@pytest.mark.parametrize("text", sorted(RESERVED_NAMES))
def test_placeholders_stay(text: str) -> None:
    """A gateway must not change what an SDK replaced."""
    assert fit(text) == Fitting(text)


def test_what_is_hit_is_replaced_and_counted_by_detector() -> None:
    """Also where the text has not the form of a name."""
    assert fit("pay-4111111111111111") == Fitting(REDACTED_NAME, "redacted_card")
    assert fit("jane.doe@example.com") == Fitting(REDACTED_NAME, "redacted_email")
    assert fit("please refund the order today") == Fitting(REDACTED_NAME, "redacted_prose")


def test_a_version_may_look_like_an_address() -> None:
    """Where a version belongs; a card's number is none anywhere."""
    assert fit("1.2.3.4", version=True) == Fitting("1.2.3.4")
    assert fit("1.2.3.4").name == REDACTED_NAME
    assert fit("4111.1111.1111.1111", version=True).name == REDACTED_NAME
    assert fit("1.2.3.4").name == REDACTED_NAME, "what passed as a version did not pass as a name"


@pytest.mark.parametrize(
    "text",
    [
        "0af76519-16cd-43dd-8448-eb211c80319c",
        "0af7651916cd43dd8448eb211c80319c",
        "00f067aa0ba902b7",
        "9e107d9d372bb6826bd81d3542a419d6e107d9d3",
        "1768469400050000",
        "2026-01-15T09:30:00Z",
        "run-2026-01-15",
    ],
)
def test_ids_digests_and_times_are_names(text: str) -> None:
    """UUIDs, trace and span ids, digests in hexadecimal digits, times."""
    assert fit(text) == Fitting(text)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (4111111111111111, "card"),
        (-4111111111111111, "card"),
        (4111111111111111.0, "card"),
        (4111111111111112, None),
        (1_768_469_400_000, None),
        (1_768_469_400_050_000, None),
        (1_768_469_400_050_000_000, None),
        (2**63 - 1, None),
        (0.25, None),
        (5e300, None),
    ],
)
def test_numbers_that_are_cards(value: float, found: str | None) -> None:
    """Times in any unit, sizes and measurements are none."""
    assert hit_number(value) == found


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("model", "gpt-4o", None),
        ("tool_version", "1.2.3.4", None),
        ("host", "10.0.0.12", "redacted_ipv4"),
        ("order", 4111111111111111, "redacted_card"),
        ("flag", True, None),
        ("system_prompt", "short", "content_key"),
        ("user.question_text", "short", "content_key"),
        ("system_prompt", 3, None),
        ("prompt_version", "v2", None),
        ("prompt_name", "greeting", None),
        ("input_type", "image", None),
        ("k4111111111111111", 1, "redacted_card"),
        ("key", "two words", "metadata_value"),
        ("Key", 1, "metadata_key"),
    ],
)
def test_entries_of_metadata(key: str, value: object, rule: str | None) -> None:
    """The contract's rules, and those of what keys, labels and numbers may hold."""
    assert entry_rule(key, value) == rule


def test_registered_keys_can_take_labels() -> None:
    """None of them names content."""
    assert LABELS_MAX == 16
    for key in REGISTERED_KEYS:
        assert entry_rule(key, "x") is None


def _document(bits: int) -> str:
    return f"document:{new_run_id(bits % 2**57)}"


def test_codes_and_ids() -> None:
    """A code has its own form; an id may be random, and is no card."""
    assert is_clean_code("rate_limited")
    assert not is_clean_code("card_4111111111111111")
    assert not is_clean_code("Rate-Limited")
    assert is_clean_id("x8Kd93mZpQ2vT7wLr5Yb")
    assert not is_clean_id("4111111111111111")


@pytest.mark.parametrize("form_of", [lambda bits: f"{bits:032x}", lambda bits: str(UUID(int=bits, version=4)), _document])
def test_a_random_id_is_nobodys_number(form_of: Callable[[int], str]) -> None:
    """Digits of random ids make cards, accounts and phone numbers now and then: 32,000 of them are ids, and UUIDs names too."""
    generator = random.Random(7)
    for _ in range(32_000):
        text = form_of(generator.getrandbits(128))
        assert is_clean_id(text), text
        assert "-" not in text or ":" in text or is_clean(text), text


@pytest.mark.parametrize("text", ["41111111111111111111111111111111", "41111111-1111-4111-8111-111111111111", "p:" + "1" * 32])
def test_digits_alone_are_no_random_id(text: str) -> None:
    """Nor is a card among them one."""
    assert not is_random_id(text)


def test_what_is_hit_is_not_remembered() -> None:
    """The memory holds names alone, and is bounded."""
    from agenttracer.rules.names import fit as module

    assert not is_clean("4111-1111-1111-1111")
    assert "4111-1111-1111-1111" not in module._clean
    for number in range(module._MEMORY + 10):
        assert is_clean(f"name_{number}")
    assert len(module._clean) <= module._MEMORY


@pytest.mark.parametrize(
    "text", [part * 80 for part in ("1-", "a@", "-at-", "4", "eyJ", "%25", "://", "A1", "de12 ", "1:", "+1", "a.b@c.", "ssn")]
)
def test_no_text_takes_long(text: str) -> None:
    """Every pattern is bounded; the limit is far above what a broken one would need."""
    began = time.process_time()
    hit(text)
    assert time.process_time() - began < 1


def test_a_pseudonym_is_a_name() -> None:
    """`~` and ten digits, and nothing else that begins so."""
    assert form.is_name("~0123456789")
    for text in ("~012345678", "~01234567890", "~012345678G", "~", "~name"):
        assert not form.is_name(text)
