"""Taxonomy 1: which evidence means what. The order of the rows is part of it; a change of meaning is a new version.

Codes and classes are those of well-known clients: OpenAI, Anthropic, Google (genai, api_core, gRPC), Bedrock (botocore), httpx,
requests, urllib3, aiohttp, PostgreSQL's SQLSTATE, pydantic, LangChain and LangGraph, OpenAI Agents, pydantic-ai, MCP. Some class
names appear as parts, since libraries derive from each other's; a comment stands where the order matters.
"""

import errno
from typing import Final

from agenttracer.wire.vocabulary import FailureCode, FailureType, StepKind
from stream_workers.core.failures.rules import Rule, Taxonomy, When


def _any(*words: str) -> frozenset[str]:
    return frozenset(words)


def _status(*numbers: int) -> When:
    return When(http_status=frozenset(numbers))


def _errno(*numbers: int) -> When:
    return When(errno=frozenset(numbers))


_MODEL_STEPS: Final = frozenset({StepKind.PLAN, StepKind.RESPOND})
_TOOL_STEPS: Final = frozenset({StepKind.TOOL})
_FILTERED: Final = _any(
    *("content_filter", "content_filtered", "safety", "refusal", "prohibited_content", "blocklist", "recitation"),
    *("guardrail_intervened", "spii", "image_safety"),
)

_SILENT: Final = (
    # Failures that raise nothing: a step that ended well and still was of no use.
    Rule(
        "quiet.empty_retrieval",
        FailureCode.EMPTY_RETRIEVAL,
        When(kind=frozenset({StepKind.RETRIEVE}), result_count=frozenset({0})),
        FailureType.RETRIEVAL,
    ),
    Rule("quiet.content_filtered", FailureCode.CONTENT_FILTERED, When(finish_reason=_FILTERED), FailureType.MODEL),
)

_CODES: Final = (
    # A provider's own code says more than the HTTP status it came with (a full context is a 400, a spent quota a 429).
    Rule(
        "code.context_overflow",
        FailureCode.CONTEXT_OVERFLOW,
        When(
            error_code=_any(
                *("context_length_exceeded", "context_window_exceeded", "prompt_too_long", "max_tokens_exceeded"),
                *("string_above_max_length", "request_too_large", "model_context_window_exceeded"),
            )
        ),
        FailureType.MODEL,
    ),
    Rule(
        "code.content_filtered",
        FailureCode.CONTENT_FILTERED,
        When(
            error_code=_any(
                *("content_filter", "content_filtered", "content_policy_violation", "moderation_blocked"),
                *("responsibleaipolicyviolation", "guardrail_intervened", "safety"),
            )
        ),
        FailureType.MODEL,
    ),
    Rule("finish.content_filtered", FailureCode.CONTENT_FILTERED, When(finish_reason=_FILTERED), FailureType.MODEL),
    # Quota before rate limit: both are a 429, and waiting helps only against one.
    Rule(
        "code.quota_exceeded",
        FailureCode.QUOTA_EXCEEDED,
        When(
            error_code=_any(
                *("insufficient_quota", "quota_exceeded", "billing_hard_limit_reached", "billing_not_active", "billing_error"),
                *("servicequotaexceededexception", "credit_balance_too_low"),
            )
        ),
    ),
    Rule(
        "code.rate_limited",
        FailureCode.RATE_LIMITED,
        When(
            error_code=_any(
                *("rate_limit_exceeded", "rate_limited", "rate_limit_error", "too_many_requests", "resource_exhausted"),
                *("throttlingexception", "throttling", "toomanyrequestsexception", "requestlimitexceeded", "slowdown"),
            )
        ),
    ),
    Rule(
        "code.auth",
        FailureCode.AUTH,
        When(
            error_code=_any(
                *("invalid_api_key", "authentication_error", "permission_denied", "permission_error", "unauthorized"),
                *("forbidden", "unauthenticated", "account_deactivated", "accessdeniedexception", "accessdenied"),
                *("expiredtokenexception", "expiredtoken", "unrecognizedclientexception", "invalidsignatureexception"),
                *("invalidclienttokenid", "28000", "28p01", "42501"),
            )
        ),
    ),
    Rule(
        "code.timeout",
        FailureCode.TIMEOUT,
        When(
            error_code=_any(
                *("timeout", "timed_out", "timeout_error", "deadline_exceeded", "request_timeout", "requesttimeout"),
                *("modeltimeoutexception", "etimedout", "57014"),
            )
        ),
    ),
    Rule(
        "code.cancelled",
        FailureCode.CANCELLED,
        When(error_code=_any("cancelled", "canceled", "aborterror")),
        FailureType.ORCHESTRATION,
    ),
    Rule(
        "code.connection",
        FailureCode.CONNECTION,
        When(
            error_code=_any(
                *("connection_error", "econnrefused", "econnreset", "enotfound", "epipe", "unavailable", "08000", "08001"),
                *("08003", "08004", "08006", "08p01", "57p01", "57p02", "57p03", "53300"),
            )
        ),
    ),
    Rule(
        "code.tool_not_found",
        FailureCode.TOOL_NOT_FOUND,
        When(error_code=_any("tool_not_found", "unknown_tool")),
        FailureType.TOOL,
    ),
    Rule(
        "code.schema_invalid",
        FailureCode.SCHEMA_INVALID,
        When(
            error_code=_any(
                *("schema_invalid", "schema_validation_failed", "json_validate_failed", "output_parsing_failure"),
                *("tool_use_failed", "invalid_function_call", "malformed_function_call"),
            )
        ),
    ),
    Rule(
        "code.server_error",
        FailureCode.SERVER_ERROR,
        When(
            error_code=_any(
                *("server_error", "internal_error", "internal_server_error", "internal", "api_error", "overloaded_error"),
                *("internalserverexception", "serviceunavailableexception", "modelerrorexception", "modelnotreadyexception"),
                *("modelstreamerrorexception", "data_loss"),
            )
        ),
    ),
    Rule(
        "code.not_found",
        FailureCode.NOT_FOUND,
        When(
            error_code=_any(
                *("not_found", "not_found_error", "model_not_found", "deploymentnotfound", "resourcenotfoundexception"),
                *("nosuchkey", "nosuchbucket", "enoent", "42p01", "3d000"),
            )
        ),
    ),
    Rule(
        "code.conflict",
        FailureCode.CONFLICT,
        When(
            error_code=_any(
                "conflict",
                "already_exists",
                "aborted",
                "conflictexception",
                "conditionalcheckfailedexception",
                "40001",
                "40p01",
                "23505",
            )
        ),
    ),
    Rule(
        "code.invalid_input",
        FailureCode.INVALID_INPUT,
        When(
            error_code=_any(
                *("invalid_request_error", "invalid_argument", "validationexception", "invalid_value", "unsupported_parameter"),
                *("missing_required_parameter", "invalid_prompt", "failed_precondition", "out_of_range", "unimplemented"),
            )
        ),
    ),
)

_FRAMEWORKS: Final = (
    # Limits that frameworks set to their own loops; the names hold "error" and "exceeded", which later rules look for.
    Rule(
        "class.step_limit",
        FailureCode.STEP_LIMIT_EXCEEDED,
        When(
            error_class_has=(
                *("graphrecursion", "maxturns", "maxiterations", "maxsteps", "steplimit", "iterationlimit"),
                *("usagelimitexceeded", "maxconsecutive", "recursionlimit"),
            )
        ),
        FailureType.ORCHESTRATION,
    ),
    Rule(
        "class.tool_not_found",
        FailureCode.TOOL_NOT_FOUND,
        When(error_class_has=("toolnotfound", "unknowntool", "nosuchtool", "toolnotregistered")),
        FailureType.TOOL,
    ),
    Rule(
        "class.context_overflow",
        FailureCode.CONTEXT_OVERFLOW,
        When(error_class_has=("contextwindow", "contextlength", "contextoverflow", "lengthfinishreason", "requesttoolarge")),
        FailureType.MODEL,
    ),
    Rule(
        "class.content_filtered",
        FailureCode.CONTENT_FILTERED,
        When(error_class_has=("contentfilter", "contentpolicy", "guardrailtripwire", "blockedprompt", "stopcandidate")),
        FailureType.MODEL,
    ),
    Rule(
        "class.quota_exceeded",
        FailureCode.QUOTA_EXCEEDED,
        When(error_class_has=("quotaexceeded", "insufficientquota", "budgetexceeded")),
    ),
)

_STATUSES: Final = (
    # Statuses before the general classes: one class (`APIStatusError`, `HTTPError`) covers many statuses.
    Rule("http.timeout", FailureCode.TIMEOUT, _status(408, 504, 524)),
    Rule("http.rate_limited", FailureCode.RATE_LIMITED, _status(429)),
    Rule("http.quota_exceeded", FailureCode.QUOTA_EXCEEDED, _status(402)),
    Rule("http.auth", FailureCode.AUTH, _status(401, 403, 407, 511)),
    Rule("http.not_found", FailureCode.NOT_FOUND, _status(404, 410)),
    Rule("http.conflict", FailureCode.CONFLICT, _status(409, 412, 423)),
    Rule("http.cancelled", FailureCode.CANCELLED, _status(499), FailureType.ORCHESTRATION),
    # 413 of a model is its context; of anything else an input too large, which the rows below know.
    Rule(
        "http.too_large", FailureCode.CONTEXT_OVERFLOW, When(http_status=frozenset({413}), kind=_MODEL_STEPS), FailureType.MODEL
    ),
    Rule("http.server_error", FailureCode.SERVER_ERROR, When(http_status_from=500)),  # 529 among them: overloaded
    Rule("http.invalid_input", FailureCode.INVALID_INPUT, When(http_status_from=400)),  # what is left of 4xx
)

_ERRNOS: Final = (
    # Errno before classes: `OSError` says little, its number much.
    Rule("errno.timeout", FailureCode.TIMEOUT, _errno(errno.ETIMEDOUT)),
    Rule(
        "errno.connection",
        FailureCode.CONNECTION,
        _errno(
            *(errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ENOTCONN, errno.ENETRESET),
            *(errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL),
        ),
    ),
    Rule("errno.not_found", FailureCode.NOT_FOUND, _errno(errno.ENOENT, errno.ENXIO, errno.ENODEV)),
    Rule("errno.auth", FailureCode.AUTH, _errno(errno.EACCES, errno.EPERM)),
    Rule("errno.quota_exceeded", FailureCode.QUOTA_EXCEEDED, _errno(errno.ENOSPC, errno.EDQUOT)),
    Rule("errno.conflict", FailureCode.CONFLICT, _errno(errno.EEXIST, errno.ENOTEMPTY)),
)

_CLASSES: Final = (
    # Timeouts before connections: `ConnectTimeout` is both, and the remedy is the timeout's.
    Rule("class.timeout", FailureCode.TIMEOUT, When(error_class_has=("timeout", "deadlineexceeded", "timedout"))),
    Rule(
        "class.rate_limited",
        FailureCode.RATE_LIMITED,
        When(error_class_has=("ratelimit", "throttl", "toomanyrequests", "resourceexhausted")),
    ),
    Rule(
        "class.auth",
        FailureCode.AUTH,
        When(error_class_has=("authentication", "permission", "unauthorized", "forbidden", "credential", "unauthenticated")),
    ),
    # Schema before connections and input: `ValidationError` of a model's output is neither.
    Rule(
        "class.schema_invalid",
        FailureCode.SCHEMA_INVALID,
        When(
            error_class_has=(
                *("validationerror", "jsondecodeerror", "outputparser", "schemaerror", "parseerror", "modelbehavior"),
                *("unexpectedmodelbehavior", "unicodedecodeerror", "contenttypeerror", "decodeerror", "parsingerror"),
            )
        ),
    ),
    Rule(
        "class.connection",
        FailureCode.CONNECTION,
        When(
            error_class_has=(
                *("connection", "connecterror", "connectorerror", "brokenpipe", "networkerror", "gaierror", "herror"),
                *("remotedisconnected", "serverdisconnected", "readerror", "writeerror", "sslerror", "certificateerror"),
                *("proxyerror", "protocolerror", "chunkedencoding", "incompleteread", "payloaderror", "clientoserror"),
                *("maxretryerror", "aiorpcerror", "transporterror"),
            )
        ),
    ),
    Rule(
        "class.server_error",
        FailureCode.SERVER_ERROR,
        When(error_class_has=("internalserver", "serviceunavailable", "servererror", "badgateway", "overloaded", "dataloss")),
    ),
    Rule(
        "class.not_found",
        FailureCode.NOT_FOUND,
        When(error_class_has=("notfound", "doesnotexist", "lookuperror", "undefinedtable")),
    ),
    Rule(
        "class.conflict",
        FailureCode.CONFLICT,
        When(
            error_class_has=(
                "conflict",
                "alreadyexists",
                "uniqueviolation",
                "integrityerror",
                "deadlockdetected",
                "serializationfail",
            )
        ),
    ),
    Rule(
        "class.invalid_input",
        FailureCode.INVALID_INPUT,
        When(
            error_class_has=(
                *("badrequest", "invalidargument", "unprocessable", "invalidinput", "invalidurl", "missingschema"),
                *("unsupportedprotocol", "failedprecondition", "paramvalidation"),
            )
        ),
    ),
    Rule(
        # The same classes in other kinds of step are bugs of the agent, not a model's bad arguments.
        "class.tool_input",
        FailureCode.INVALID_INPUT,
        When(kind=_TOOL_STEPS, error_class=_any("valueerror", "typeerror", "keyerror")),
    ),
)

V1: Final = Taxonomy(
    version=1,
    name="1",
    silent=_SILENT,
    failed=(
        # Cancellation first: a cancelled call often has a timeout or a status as well, and neither is the cause.
        Rule(
            "class.cancelled",
            FailureCode.CANCELLED,
            When(error_class=_any("cancellederror", "cancelled", "generatorexit", "taskcancelled", "usercancelled")),
            FailureType.ORCHESTRATION,
        ),
        Rule(
            "class.interrupted",
            FailureCode.CANCELLED,
            When(error_class=_any("keyboardinterrupt", "systemexit")),
            FailureType.ORCHESTRATION,
        ),
        *_CODES,
        *_FRAMEWORKS,
        *_STATUSES,
        *_ERRNOS,
        *_CLASSES,
        # Last: it failed, and nothing says why.
        Rule("any.unhandled", FailureCode.UNHANDLED_EXCEPTION, When()),
    ),
)
