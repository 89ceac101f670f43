"""The taxonomy: each rule by evidence that it alone explains, and the order where two could."""

import pytest

from agenttracer.integrations._openai_fields import _ERROR_CODES
from agenttracer.wire.events import Evidence, StepFinished
from agenttracer.wire.vocabulary import FailureCode, FailureType, StepKind, StepStatus
from stream_workers.core.failures.classify import classify
from stream_workers.core.failures.evidence import Facts, facts_from, facts_of_step
from stream_workers.core.failures.rules import type_of
from stream_workers.core.failures.v1 import V1
from stream_workers.core.failures.v2 import V2

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
    "code.quota_exceeded": _NOTHING._replace(error_code="insufficient_quota", http_status=429),
    "code.auth": _NOTHING._replace(error_code="invalid_api_key"),
    "code.timeout": _NOTHING._replace(error_code="deadline_exceeded"),
    "code.cancelled": _NOTHING._replace(error_code="cancelled"),
    "code.connection": _NOTHING._replace(error_code="unavailable"),
    "code.tool_not_found": _NOTHING._replace(error_code="tool_not_found"),
    "code.schema_invalid": _NOTHING._replace(error_code="tool_use_failed", http_status=400),
    "code.server_error": _NOTHING._replace(error_code="overloaded_error"),
    "code.not_found": _NOTHING._replace(error_code="model_not_found", http_status=400),
    "code.conflict": _NOTHING._replace(error_code="40001"),
    "code.invalid_input": _NOTHING._replace(error_code="validationexception"),
    "class.step_limit": _NOTHING._replace(error_class="graphrecursionerror"),
    "class.tool_not_found": _NOTHING._replace(error_class="toolnotfounderror"),
    "class.quota_exceeded": _NOTHING._replace(error_class="insufficientquotaerror"),
    "class.context_overflow": _NOTHING._replace(error_class="contextwindowexceedederror"),
    "class.content_filtered": _NOTHING._replace(error_class="contentfilterfinishreasonerror"),
    "http.timeout": _NOTHING._replace(http_status=504),
    "http.rate_limited": _NOTHING._replace(http_status=429),
    "http.quota_exceeded": _NOTHING._replace(http_status=402),
    "http.conflict": _NOTHING._replace(http_status=409),
    "http.cancelled": _NOTHING._replace(http_status=499),
    "http.auth": _NOTHING._replace(http_status=401),
    "http.not_found": _NOTHING._replace(http_status=404),
    "http.too_large": _NOTHING._replace(kind=StepKind.RESPOND, http_status=413),
    "http.invalid_input": _NOTHING._replace(http_status=422),
    "http.server_error": _NOTHING._replace(http_status=503, error_class="httpstatuserror"),
    "errno.timeout": _NOTHING._replace(errno=110, error_class="oserror"),
    "errno.connection": _NOTHING._replace(errno=111, error_class="oserror"),
    "errno.not_found": _NOTHING._replace(errno=2),
    "errno.auth": _NOTHING._replace(errno=13),
    "errno.quota_exceeded": _NOTHING._replace(errno=28, error_class="oserror"),
    "errno.conflict": _NOTHING._replace(errno=17, error_class="fileexistserror"),
    "class.timeout": _NOTHING._replace(error_class="connecttimeout"),
    "class.rate_limited": _NOTHING._replace(error_class="ratelimiterror"),
    "class.auth": _NOTHING._replace(error_class="authenticationerror"),
    "class.schema_invalid": _NOTHING._replace(error_class="validationerror"),
    "class.connection": _NOTHING._replace(error_class="apiconnectionerror"),
    "class.server_error": _NOTHING._replace(error_class="internalservererror"),
    "class.not_found": _NOTHING._replace(error_class="notfounderror"),
    "class.conflict": _NOTHING._replace(error_class="integrityerror"),
    "class.invalid_input": _NOTHING._replace(error_class="badrequesterror"),
    "class.tool_input": _NOTHING._replace(error_class="valueerror"),
    "any.unhandled": _NOTHING._replace(error_class="zerodivisionerror"),
    # of taxonomy 2 alone
    "end.limit_steps": _NOTHING._replace(kind=None, error_code="limit_steps"),
    "end.limit_time": _NOTHING._replace(kind=None, error_code="limit_time"),
    "end.limit_tokens": _NOTHING._replace(kind=None, error_code="limit_tokens"),
    "end.limit_cost": _NOTHING._replace(kind=None, error_code="limit_cost"),
    "code.step_limit": _NOTHING._replace(error_code="max_turns_exceeded"),
    "code.time_limit": _NOTHING._replace(error_code="time_limit_exceeded"),
    "code.token_limit": _NOTHING._replace(error_code="token_limit_exceeded"),
    "code.cost_limit": _NOTHING._replace(error_code="cost_limit_exceeded"),
    "code.guardrail": _NOTHING._replace(error_code="guardrail_tripwire"),
    "code.handoff": _NOTHING._replace(error_code="multiple_handoffs"),
    "code.tool_unavailable": _NOTHING._replace(error_code="tool_unavailable"),
    "code.code_error": _NOTHING._replace(error_code="code_error"),
    "code.output_truncated": _NOTHING._replace(error_code="output_truncated"),
    "code.empty_answer": _NOTHING._replace(error_code="empty_answer"),
    "code.empty_retrieval": _NOTHING._replace(error_code="empty_retrieval"),
    "class.code_error": _NOTHING._replace(error_class="keyerror", name="execute_code"),
    "class.guardrail": _NOTHING._replace(error_class="inputguardrailtripwiretriggered"),
    "class.handoff": _NOTHING._replace(error_class="handofferror"),
    "class.time_limit": _NOTHING._replace(error_class="softtimelimitexceeded"),
    "class.cost_limit": _NOTHING._replace(error_class="budgetexceedederror"),
    "class.tool_unavailable": _NOTHING._replace(error_class="targetclosederror"),
    "class.syntax": _NOTHING._replace(error_class="syntaxerror"),
    "code.tool_error": _NOTHING._replace(error_code="tool_error"),
    "exit.status": _NOTHING._replace(error_code="exit_status"),
    "quiet.output_truncated": Facts(StepKind.RESPOND, False, "", "", 0, 0, "length", None),  # noqa: FBT003 - went well
    "quiet.malformed_call": Facts(StepKind.PLAN, False, "", "", 0, 0, "malformed_function_call", None),  # noqa: FBT003
    "quiet.empty_answer": Facts(StepKind.RESPOND, False, "", "", 0, 0, "stop", None, says_nothing=True),  # noqa: FBT003
    "quiet.empty_search": Facts(StepKind.TOOL, False, "", "", 0, 0, "", 0, name="search_flights"),  # noqa: FBT003
}


@pytest.mark.parametrize("rule_id", CASES)
def test_evidence_finds_its_rule(rule_id: str) -> None:
    """Each rule is found by its evidence."""
    rule = classify(CASES[rule_id])
    assert rule is not None
    assert rule.id == rule_id


def test_every_rule_has_a_case() -> None:
    """No rule stands in the table untested, and ids are unique."""
    ids = [rule.id for rule in V2.rules]
    assert sorted(ids) == sorted(set(ids)) == sorted(CASES)


def test_rules_keep_their_ids() -> None:
    """Taxonomy 2 has every rule of 1, in its order, with at least its words, but for guardrails, which have their own code."""
    ids = [rule.id for rule in V2.failed]
    assert [rule.id for rule in V1.failed] == [each for each in ids if each in {rule.id for rule in V1.failed}]
    after = {rule.id: rule for rule in V2.rules}
    for rule in V1.rules:
        assert (after[rule.id].code, after[rule.id].type) == (rule.code, rule.type)
        assert rule.when.error_code <= after[rule.id].when.error_code
        assert set(rule.when.error_class_has) - {"guardrailtripwire"} <= set(after[rule.id].when.error_class_has)


def test_what_the_integrations_send_is_known() -> None:
    """No code of our own is left to `unhandled_exception`, but those that say nothing more."""
    said = {*_ERROR_CODES.values(), "tool_error", "span_error"}
    found = {code: classify(_NOTHING._replace(error_code=code)) for code in said}
    unknown = {code for code, rule in found.items() if rule is None or rule.id == "any.unhandled"}
    assert unknown == {"model_error", "agent_error", "span_error"}


@pytest.mark.parametrize(
    ("kind", "reason", "code"),
    [
        (StepKind.RESPOND, "FinishReason.MAX_TOKENS", FailureCode.OUTPUT_TRUNCATED),
        (StepKind.PLAN, "max-tokens", FailureCode.OUTPUT_TRUNCATED),
        (StepKind.RESPOND, "MALFORMED_FUNCTION_CALL", FailureCode.SCHEMA_INVALID),
        (StepKind.RESPOND, "['length']", FailureCode.OUTPUT_TRUNCATED),
        (StepKind.RESPOND, "content-filter", FailureCode.CONTENT_FILTERED),
        (StepKind.TOOL, "length", None),
        (StepKind.RESPOND, "stop", None),
        (StepKind.RESPOND, "tool_calls", None),
    ],
)
def test_silent_failures_in_any_spelling(kind: StepKind, reason: str, code: FailureCode | None) -> None:
    """Providers write one reason in many ways."""
    rule = classify(facts_from(kind, None, {"finish_reason": reason}, failed=False))
    assert (None if rule is None else rule.code) == code


@pytest.mark.parametrize(
    ("error_class", "code"),
    [
        ("net.OpError", "connection"),
        ("context.deadlineExceededError", "timeout"),
        ("json.UnmarshalTypeError", "schema_invalid"),
        ("java.net.SocketTimeoutException", "timeout"),
        ("java.net.ConnectException", "connection"),
        ("java.nio.file.NoSuchFileException", "not_found"),
        ("java.lang.IllegalArgumentException", "invalid_input"),
        ("System.Net.Http.HttpRequestException", "connection"),
        ("System.UnauthorizedAccessException", "auth"),
        ("System.Text.Json.JsonException", "schema_invalid"),
        ("System.OperationCanceledException", "cancelled"),
        ("Faraday.ConnectionFailed", "connection"),
        ("ActiveRecord.RecordNotFound", "not_found"),
        ("GuzzleHttp.Exception.ConnectException", "connection"),
        ("GuzzleHttp.Exception.ServerException", "server_error"),
        ("InvalidArgumentException", "invalid_input"),
        ("AI_NoSuchToolError", "tool_not_found"),
        ("AI_TypeValidationError", "schema_invalid"),
        ("AI_LoadAPIKeyError", "auth"),
        ("AbortError", "cancelled"),
        ("ZodError", "schema_invalid"),
        ("FetchError", "connection"),
        ("OutOfMemoryError", "quota_exceeded"),
    ],
)
def test_classes_of_other_languages(error_class: str, code: str) -> None:
    """JavaScript, Go, Java, .NET, Ruby and PHP."""
    rule = classify(facts_from(StepKind.TOOL, Evidence(error_class=error_class), {}, failed=True, name="fetch"))
    assert rule is not None
    assert rule.code == code


@pytest.mark.parametrize("said", ["ERR_CANCELED", "ABORT_ERR", "UND_ERR_ABORTED"])
def test_codes_of_javascript_for_a_cancelled_call(said: str) -> None:
    """Its OpenTelemetry SDK says a code in place of the class."""
    rule = classify(facts_from(StepKind.TOOL, Evidence(error_class=said, error_code=said), {}, failed=True, name="fetch"))
    assert rule is not None
    assert rule.code == "cancelled"


def test_a_class_is_an_error_of_code_only_where_code_is_run() -> None:
    """A `KeyError` of a tool that runs code is the model's; of any other tool it is a bad argument."""
    evidence = Evidence(error_class="KeyError")
    codes = [
        getattr(classify(facts_from(StepKind.TOOL, evidence, {}, failed=True, name=name)), "code", None)
        for name in ("execute_code", "PythonREPL", "book_flight")
    ]
    assert codes == [FailureCode.CODE_ERROR, FailureCode.CODE_ERROR, FailureCode.INVALID_INPUT]


def test_every_code_but_those_of_whole_runs_can_be_found() -> None:
    """Silence and loops are no evidence of a step; all other codes have a rule."""
    found = {rule.code for rule in V2.rules}
    assert found == set(FailureCode) - {FailureCode.ABANDONED, FailureCode.LOOP_SUSPECTED}


WELL_KNOWN = {
    # what the clients of these services raise, as the SDK and OTLP pass it on: class, code, status
    ("openai.RateLimitError", "rate_limit_exceeded", 429): "rate_limited",
    ("openai.RateLimitError", "insufficient_quota", 429): "quota_exceeded",
    ("openai.BadRequestError", "context_length_exceeded", 400): "context_overflow",
    ("openai.BadRequestError", "content_policy_violation", 400): "content_filtered",
    ("openai.BadRequestError", None, 400): "invalid_input",
    ("openai.AuthenticationError", "invalid_api_key", 401): "auth",
    ("openai.ConflictError", None, 409): "conflict",
    ("openai.UnprocessableEntityError", None, 422): "invalid_input",
    ("openai.InternalServerError", None, 500): "server_error",
    ("openai.APITimeoutError", None, None): "timeout",
    ("openai.APIConnectionError", None, None): "connection",
    ("openai.LengthFinishReasonError", None, None): "context_overflow",
    ("anthropic.OverloadedError", None, 529): "server_error",
    ("anthropic.APIStatusError", None, 529): "server_error",
    ("anthropic.RequestTooLargeError", None, 413): "context_overflow",
    ("google.api_core.exceptions.ResourceExhausted", None, 429): "rate_limited",
    ("google.api_core.exceptions.DeadlineExceeded", None, 504): "timeout",
    ("google.api_core.exceptions.PermissionDenied", None, 403): "auth",
    ("google.genai.errors.ServerError", None, 503): "server_error",
    ("botocore.errorfactory.ThrottlingException", "ThrottlingException", 400): "rate_limited",
    ("botocore.exceptions.ClientError", "ServiceQuotaExceededException", 400): "quota_exceeded",
    ("botocore.exceptions.ClientError", "ModelTimeoutException", 408): "timeout",
    ("botocore.exceptions.ClientError", "AccessDeniedException", 403): "auth",
    ("botocore.exceptions.ClientError", "ValidationException", 400): "invalid_input",
    ("botocore.exceptions.ReadTimeoutError", None, None): "timeout",
    ("botocore.exceptions.EndpointConnectionError", None, None): "connection",
    ("httpx.ConnectTimeout", None, None): "timeout",
    ("httpx.PoolTimeout", None, None): "timeout",
    ("httpx.ConnectError", None, None): "connection",
    ("httpx.RemoteProtocolError", None, None): "connection",
    ("httpx.HTTPStatusError", None, 408): "timeout",
    ("requests.exceptions.ConnectTimeout", None, None): "timeout",
    ("requests.exceptions.ChunkedEncodingError", None, None): "connection",
    ("requests.exceptions.JSONDecodeError", None, None): "schema_invalid",
    ("aiohttp.ServerTimeoutError", None, None): "timeout",
    ("aiohttp.ClientConnectorError", None, None): "connection",
    ("aiohttp.ServerDisconnectedError", None, None): "connection",
    ("grpc.aio.AioRpcError", "UNAVAILABLE", None): "connection",
    ("grpc.aio.AioRpcError", "DEADLINE_EXCEEDED", None): "timeout",
    ("asyncpg.QueryCanceledError", "57014", None): "timeout",
    ("pydantic_core.ValidationError", None, None): "schema_invalid",
    ("json.decoder.JSONDecodeError", None, None): "schema_invalid",
    ("langchain_core.exceptions.OutputParserException", None, None): "schema_invalid",
    ("langgraph.errors.GraphRecursionError", None, None): "step_limit_exceeded",
    ("agents.MaxTurnsExceeded", None, None): "step_limit_exceeded",
    ("agents.ModelBehaviorError", None, None): "schema_invalid",
    ("agents.InputGuardrailTripwireTriggered", None, None): "guardrail_tripped",
    ("pydantic_ai.UsageLimitExceeded", None, None): "step_limit_exceeded",
    ("asyncio.CancelledError", None, None): "cancelled",
    ("TimeoutError", None, None): "timeout",
    ("ConnectionResetError", None, None): "connection",
    ("ZeroDivisionError", None, None): "unhandled_exception",
}


@pytest.mark.parametrize("said", WELL_KNOWN, ids=str)
def test_errors_of_well_known_clients(said: tuple[str, str | None, int | None]) -> None:
    """What a model's step raised, in the clients' own words, has the code that a reader expects."""
    error_class, error_code, http_status = said
    step = StepFinished(
        run_id="0198c0de-0000-7000-8000-000000000001",
        seq=1,
        step_id="00000000000000a1",
        kind=StepKind.RESPOND,
        name="answer",
        started_at=1_790_000_000_000_000,
        duration_us=1,
        status=StepStatus.ERROR,
        evidence=Evidence(error_class=error_class, error_code=error_code, http_status=http_status),
    )
    rule = classify(facts_of_step(step))
    assert rule is not None
    assert rule.code == WELL_KNOWN[said]


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
