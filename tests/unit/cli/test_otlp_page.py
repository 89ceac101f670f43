"""docs/otlp-mapping.md."""

import pytest

from agenttracer.rules import span_kinds
from docs.generate.otlp_page import PAGE, _rows, page
from producer_gateway.otlp import mapping, values
from producer_gateway.otlp.span import ATTRIBUTES_PER_SPAN
from producer_gateway.settings import GatewaySettings


def test_the_page_is_the_code() -> None:
    """docs/otlp-mapping.md says what the gateway does; `make otlp-mapping` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_attribute_and_word_is_there() -> None:
    """No row of the mapping and no word of the kinds is missing."""
    text = page()
    names = [name for rows in (mapping.TABLE, mapping.RESOURCE_TABLE) for _, _, names in rows for name in names]
    tables = (*(words for _, words in span_kinds.SIGNALS), span_kinds.PROTOCOLS, span_kinds.SPAN_NAME_ENDS, span_kinds.SPAN_NAMES)
    assert [name for name in (*names, *(word for words in tables for word in words)) if f"`{name}`" not in text] == []


def test_the_limits_are_those_of_the_settings() -> None:
    """Every limit for which a whole export is refused stands there as it is."""
    limits = {name: field.default for name, field in GatewaySettings.model_fields.items()}
    text = page()
    assert f"| {limits['inflate_max_ratio']:,} times as much | `INFLATE_MAX_RATIO` |" in text
    assert f"| {ATTRIBUTES_PER_SPAN * limits['otlp_spans_max']:,} | {ATTRIBUTES_PER_SPAN} times `OTLP_SPANS_MAX`" in text


def test_a_new_target_needs_words() -> None:
    """What becomes of an attribute cannot be left unsaid."""
    with pytest.raises(LookupError):
        list(_rows((("@new", values.label, ("new.name",)),)))
