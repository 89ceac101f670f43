"""The taxonomy: each rule by evidence that it alone explains, and the order where two could."""

import pytest

from agenttracer.wire.vocabulary import FailureCode, FailureType, StepKind
from stream_workers.core.failures.classify import classify
from stream_workers.core.failures.evidence import Facts
from stream_workers.core.failures.rules import ERROR_RULES, SILENT_RULES, type_of

_NOTHING = Facts(StepKind.TOOL, True, "", "", 0, 0, "", None)  # noqa: FBT003 - a failed step

CASES = {
    "quiet.empty_retrieval": Facts(StepKind.RETRIEVE, False, "", "", 0, 0, "", 0),  # noqa: FBT003 - went well
    "quiet.content_filtered": Facts(StepKind.RESPOND, False, "", "", 0, 0, "content_filter", None),  # noqa: FBT003 - went well
    "class.cancelled": _NOTHING._replace(error_class="cancellederror"),
    "class.interrupted": _NOTHING._replace(error_class="keyboardinterrupt"),
    "code.context_overflow": _NOTHING._replace(error_code="context_length_exceeded", http_status=400),
    "code.content_filtered": _NOTHING._replace(error_code="content_filter", http_status=400),
    "finish.content_filtered": _NOTHING._replace(finish_reason="safety"),
    "code.rate_limited": _NOTHING._replace(error_code="rate_limit_exceeded"),
    "code.auth": _NOTHING._replace(error_code="invalid_api_key"),
    "class.context_overflow": _NOTHING._replace(error_class="contextwindowexceedederror"),
    "class.content_filtered": _NOTHING._replace(error_class="contentfilterfinishreasonerror"),
    "http.timeout": _NOTHING._replace(http_status=504),
    "http.rate_limited": _NOTHING._replace(http_status=429),
    "http.auth": _NOTHING._replace(http_status=401),
    "http.not_found": _NOTHING._replace(http_status=404),
    "http.too_large": _NOTHING._replace(kind=StepKind.RESPOND, http_status=413),
    "http.invalid_input": _NOTHING._replace(http_status=422),
    "http.server_error": _NOTHING._replace(http_status=503, error_class="httpstatuserror"),
    "errno.timeout": _NOTHING._replace(errno=110, error_class="oserror"),
    "errno.connection": _NOTHING._replace(errno=111, error_class="oserror"),
    "errno.not_found": _NOTHING._replace(errno=2),
    "errno.auth": _NOTHING._replace(errno=13),
    "class.timeout": _NOTHING._replace(error_class="connecttimeout"),
    "class.rate_limited": _NOTHING._replace(error_class="ratelimiterror"),
    "class.auth": _NOTHING._replace(error_class="authenticationerror"),
    "class.schema_invalid": _NOTHING._replace(error_class="validationerror"),
    "class.connection": _NOTHING._replace(error_class="apiconnectionerror"),
    "class.server_error": _NOTHING._replace(error_class="internalservererror"),
    "class.not_found": _NOTHING._replace(error_class="notfounderror"),
    "class.invalid_input": _NOTHING._replace(error_class="badrequesterror"),
    "class.tool_input": _NOTHING._replace(error_class="valueerror"),
    "any.unhandled": _NOTHING._replace(error_class="zerodivisionerror"),
}


@pytest.mark.parametrize("rule_id", CASES)
def test_evidence_finds_its_rule(rule_id: str) -> None:
    """Each rule is found by its evidence."""
    rule = classify(CASES[rule_id])
    assert rule is not None
    assert rule.id == rule_id


def test_every_rule_has_a_case() -> None:
    """No rule stands in the table untested, and ids are unique."""
    ids = [rule.id for rule in (*SILENT_RULES, *ERROR_RULES)]
    assert sorted(ids) == sorted(set(ids)) == sorted(CASES)


def test_every_code_but_abandoned_can_be_found() -> None:
    """`abandoned` is silence, which no evidence shows; all other codes have a rule."""
    found = {rule.code for rule in (*SILENT_RULES, *ERROR_RULES)}
    assert found == set(FailureCode) - {FailureCode.ABANDONED}


def test_a_step_that_went_well_has_no_failure() -> None:
    """Without an error and without a telling count there is nothing to explain."""
    assert classify(_NOTHING._replace(failed=False, error_class="timeouterror")) is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (StepKind.TOOL, FailureType.TOOL),
        (StepKind.RETRIEVE, FailureType.RETRIEVAL),
        (StepKind.PLAN, FailureType.MODEL),
        (StepKind.RESPOND, FailureType.MODEL),
        (StepKind.OTHER, FailureType.ORCHESTRATION),
        (None, FailureType.ORCHESTRATION),
    ],
)
def test_the_type_follows_from_the_kind(kind: StepKind | None, expected: FailureType) -> None:
    """Where no rule says otherwise, the part that failed is the one whose step it was."""
    assert type_of(kind) == expected
