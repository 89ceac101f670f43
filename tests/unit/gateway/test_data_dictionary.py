"""The data dictionary."""

import dataclasses

import pytest

from agenttracer.wire.events import EVENT_KINDS, Evidence
from deploy.data_dictionary import PAGE, described, page


def test_the_page_is_the_contract() -> None:
    """docs/data-dictionary.md says what the contract says; `python -m deploy.data_dictionary` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_field_is_there() -> None:
    """No field of an event or of evidence is missing."""
    text = page()
    assert all(f"| `{each.name}` |" in text for kind in (*EVENT_KINDS, Evidence) for each in dataclasses.fields(kind))


@pytest.mark.parametrize("hint", [bytes, dict[str, str], list[int]])
def test_a_new_type_needs_a_reason(hint: object) -> None:
    """A field of a type that nobody has given a reason for stops the page."""
    with pytest.raises(LookupError):
        described(hint)
