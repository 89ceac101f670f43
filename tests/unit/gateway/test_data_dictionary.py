"""The data dictionary."""

import dataclasses

import pytest

from agenttracer.wire.envelope import Producer, Record
from agenttracer.wire.events import EVENT_KINDS, NESTED
from docs.generate.data_dictionary import PAGE, described, page
from docs.generate.stored_text import FIELDS, OTHERS, held, text_columns


def test_the_page_is_the_contract() -> None:
    """docs/data-dictionary.md says what the contract says; `python -m docs.generate.data_dictionary` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_field_is_there() -> None:
    """No field of an event, or nested in one, is missing."""
    text = page()
    assert all(f"| `{each.name}` |" in text for kind in (*EVENT_KINDS, *NESTED) for each in dataclasses.fields(kind))


@pytest.mark.parametrize("hint", [bytes, dict[str, str], list[int]])
def test_a_new_type_needs_a_reason(hint: object) -> None:
    """A field of a type that nobody has given a reason for stops the page."""
    with pytest.raises(LookupError):
        described(hint)


def test_every_column_that_can_hold_text_is_there() -> None:
    """Each is a field of the contract or ours, with a reason; none of the reasons is for a column that is gone."""
    columns = [(table, column) for table, column, _ in text_columns()]
    assert len(columns) > 50
    assert all(f"| `{table}.{column}` |" in page() for table, column in columns)
    assert {f"{table}.{column}" for table, column in columns} >= OTHERS.keys()
    assert {column for _, column in columns} >= FIELDS.keys()


def test_columns_hold_fields_that_exist() -> None:
    """What a column is said to hold is a field of the contract."""
    kinds = (Record, Producer, *NESTED, *EVENT_KINDS)
    known = {f"{kind.__name__}.{each.name}" for kind in kinds for each in dataclasses.fields(kind)}
    assert set(FIELDS.values()) <= known


@pytest.mark.parametrize("kind", ["text NOT NULL", "jsonb", "bytea", "character varying(9)", "text[]", "some_new_type"])
def test_a_new_column_needs_a_reason(kind: str) -> None:
    """A column of any type that is not known to hold no text stops the page until somebody says what it holds."""
    schema = f"CREATE TABLE agenttracer.runs (\n    seq integer NOT NULL,\n    prompt {kind},\n    CONSTRAINT x\n);\n"
    ((table, column, _),) = text_columns(schema)
    with pytest.raises(LookupError):
        held(table, column)
