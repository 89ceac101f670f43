"""Taxonomies as documents."""

from typing import Any

import pytest

from agenttracer.wire.vocabulary import FailureType, StepKind
from stream_workers.core.failures.classify import classify
from stream_workers.core.failures.evidence import Facts
from stream_workers.core.failures.override import TaxonomyError, overridden
from stream_workers.core.failures.v1 import V1

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
