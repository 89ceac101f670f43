"""Taxonomies as documents."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from agenttracer.wire.vocabulary import FailureType, StepKind
from stream_workers.core.failures.classify import classify
from stream_workers.core.failures.evidence import Facts
from stream_workers.core.failures.override import TaxonomyError, overridden
from stream_workers.core.failures.v1 import V1

PAGE = Path(__file__).parents[3] / "docs" / "failures.md"
_TEAPOT = Facts(StepKind.TOOL, True, "", "", 418, 0, "", None)  # noqa: FBT003 - a failed step


def test_an_empty_document_is_its_base() -> None:
    """Every rule stays where it was."""
    same = overridden({}, name="same")
    assert (same.failed, same.silent, same.version) == (V1.failed, V1.silent, V1.version)


def test_a_new_rule_goes_where_it_says_and_a_known_one_stays_in_its_place() -> None:
    """Order is part of the meaning."""
    rules = [
        {"id": "mine", "code": "teapot", "type": "model", "before": "http.invalid_input", "when": {"http_status": [418]}},
        {"id": "http.auth", "code": "locked_out", "when": {"http_status": [401], "kind": ["tool"]}},
        {"id": "last_word", "code": "odd", "when": {"error_class": ["OddError"]}},
        {
            "id": "quiet.long",
            "code": "truncated",
            "silent": True,
            "before": "quiet.content_filtered",
            "when": {"finish_reason": ["length"]},
        },
    ]
    mine = overridden({"base": "1", "remove": ["class.tool_input"], "rule": rules}, name="mine")
    ids, before = [rule.id for rule in mine.failed], [rule.id for rule in V1.failed]
    assert ids.index("mine") == ids.index("http.invalid_input") - 1
    assert ids[-2:] == ["last_word", "any.unhandled"]
    assert [each for each in ids if each in before] == [each for each in before if each != "class.tool_input"]
    assert [rule.id for rule in mine.silent] == ["quiet.empty_retrieval", "quiet.long", "quiet.content_filtered"]
    found = classify(_TEAPOT, mine)
    assert found is not None
    assert (found.code, found.type) == ("teapot", FailureType.MODEL)
    locked = _TEAPOT._replace(http_status=401)
    codes = [getattr(classify(facts, mine), "code", "") for facts in (locked, locked._replace(kind=None))]
    assert codes == ["locked_out", "invalid_input"]
    odd = classify(_TEAPOT._replace(http_status=0, error_class="odderror"), mine)
    assert odd is not None
    assert odd.id == "last_word"


@pytest.mark.parametrize(
    "document",
    [
        {"base": "canary"},
        {"canary": 1},
        {"remove": ["canary"]},
        {"remove": "canary"},
        {"rule": [{"code": "canary"}]},
        {"rule": [{"id": "x", "code": "Canary!", "when": {"errno": [1]}}]},
        {"rule": [{"id": "x", "code": "c", "when": {}}]},
        {"rule": [{"id": "x", "code": "c"}]},
        {"rule": [{"id": "x", "code": "c", "type": "canary", "when": {"errno": [1]}}]},
        {"rule": [{"id": "x", "code": "c", "before": "canary", "when": {"errno": [1]}}]},
        {"rule": [{"id": "x", "code": "c", "when": {"canary": [1]}}]},
        {"rule": [{"id": "x", "code": "c", "when": {"errno": ["canary"]}}]},
        {"rule": [{"id": "x", "code": "c", "when": {"kind": ["canary"]}}]},
        {"rule": [{"id": "x", "code": "c", "when": {"error_class": "canary"}}]},
        {"rule": [{"id": "x", "code": "c", "when": {"http_status_from": "canary"}}]},
    ],
)
def test_what_is_no_taxonomy_is_refused_without_its_values(document: dict[str, Any]) -> None:
    """The error names the rule and the member, and nothing that stood there."""
    with pytest.raises(TaxonomyError) as told:
        overridden(document, name="wrong")
    assert "canary" not in str(told.value).lower()


def test_the_example_of_the_page_is_a_taxonomy() -> None:
    """A reader may begin with it as it stands."""
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    mine = overridden(tomllib.loads(example), name="mine")
    found = classify(_TEAPOT, mine)
    assert found is not None
    assert (found.id, found.code, found.type) == ("http.teapot", "invalid_input", FailureType.TOOL)
    assert "class.tool_input" not in {rule.id for rule in mine.rules}


def test_a_name_and_silence_are_conditions_too() -> None:
    """Of a tool by a part of its name, of a model by an answer of no token."""
    mine = overridden(
        {
            "base": "2",
            "rule": [
                {"id": "mine.paid", "code": "declined", "before": "http.invalid_input", "when": {"name_has": ["Pay"]}},
                {
                    "id": "mine.mute",
                    "code": "mute",
                    "silent": True,
                    "before": "quiet.empty_answer",
                    "when": {"says_nothing": True},
                },
            ],
        },
        name="mine",
    )
    paid = classify(_TEAPOT._replace(name="pay_invoice"), mine)
    mute = classify(Facts(StepKind.RESPOND, False, "", "", 0, 0, "stop", None, says_nothing=True), mine)  # noqa: FBT003
    assert paid is not None
    assert mute is not None
    assert (paid.code, mute.code) == ("declined", "mute")
    with pytest.raises(TaxonomyError):
        overridden({"rule": [{"id": "x", "code": "x", "when": {"says_nothing": "yes"}}]}, name="x")
