"""The taxonomy: an ordered table of rules, first match wins. A change of meaning here is a new `TAXONOMY_VERSION`.

Codes of providers and names of classes are those of the well-known clients (OpenAI, Anthropic, httpx, requests, botocore,
LangChain, pydantic). A rule says what happened; the type says where, and follows from the kind of step (`type_of`).
"""

import errno
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple

from agenttracer.wire.vocabulary import FailureCode, FailureType, StepKind
from stream_workers.core.failures.evidence import Facts

TAXONOMY_VERSION: Final = 1


class Rule(NamedTuple):
    """`id` is stable for ever and stands in every row that the rule classified."""

    id: str
    code: FailureCode
    matches: Callable[[Facts], bool]
    type: FailureType | None = None
    """Set where the type does not follow from the kind of step."""


def type_of(kind: StepKind | None) -> FailureType:
    """The part of the agent that a kind of step stands for."""
    return FailureType.ORCHESTRATION if kind is None else _TYPES[kind]


def _any_code(*words: str) -> Callable[[Facts], bool]:
    allowed = frozenset(words)
    return lambda facts: facts.error_code in allowed


def _any_class(*names: str) -> Callable[[Facts], bool]:
    allowed = frozenset(names)
    return lambda facts: facts.error_class in allowed


def _class_has(*parts: str) -> Callable[[Facts], bool]:
    return lambda facts: any(part in facts.error_class for part in parts)


def _status(*statuses: int) -> Callable[[Facts], bool]:
    allowed = frozenset(statuses)
    return lambda facts: facts.http_status in allowed


def _server_status(facts: Facts) -> bool:
    return facts.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _prompt_too_large(facts: Facts) -> bool:
    return facts.http_status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and type_of(facts.kind) is FailureType.MODEL


def _errno(*numbers: int) -> Callable[[Facts], bool]:
    allowed = frozenset(numbers)
    return lambda facts: facts.errno in allowed


def _input_of_tool(facts: Facts) -> bool:
    # The same classes in other kinds of step are bugs of the agent, not a model's bad arguments.
    return facts.kind is StepKind.TOOL and facts.error_class in {"valueerror", "typeerror", "keyerror"}


def _empty_retrieval(facts: Facts) -> bool:
    return facts.kind is StepKind.RETRIEVE and facts.result_count == 0 and not facts.failed


def _filtered_answer(facts: Facts) -> bool:
    return facts.finish_reason in {"content_filter", "content_filtered", "safety", "refusal"}


def _failed(facts: Facts) -> bool:
    return facts.failed


SILENT_RULES: Final[tuple[Rule, ...]] = (
    # Failures that raise nothing: a step that ended well and still was of no use.
    Rule("quiet.empty_retrieval", FailureCode.EMPTY_RETRIEVAL, _empty_retrieval, FailureType.RETRIEVAL),
    Rule("quiet.content_filtered", FailureCode.CONTENT_FILTERED, _filtered_answer, FailureType.MODEL),
)

ERROR_RULES: Final[tuple[Rule, ...]] = (
    # Cancellation first: whoever cancels usually has a timeout or a status in hand as well, and neither is the cause.
    Rule(
        "class.cancelled",
        FailureCode.CANCELLED,
        _any_class("cancellederror", "cancelled", "generatorexit"),
        FailureType.ORCHESTRATION,
    ),
    Rule("class.interrupted", FailureCode.CANCELLED, _any_class("keyboardinterrupt", "systemexit"), FailureType.ORCHESTRATION),
    # A provider's own code says more than the HTTP status it came with (a full context is a 400, a filter too).
    Rule(
        "code.context_overflow",
        FailureCode.CONTEXT_OVERFLOW,
        _any_code("context_length_exceeded", "context_window_exceeded", "prompt_too_long", "max_tokens_exceeded"),
        FailureType.MODEL,
    ),
    Rule(
        "code.content_filtered",
        FailureCode.CONTENT_FILTERED,
        _any_code("content_filter", "content_filtered", "content_policy_violation", "moderation_blocked"),
        FailureType.MODEL,
    ),
    Rule("finish.content_filtered", FailureCode.CONTENT_FILTERED, _filtered_answer, FailureType.MODEL),
    Rule(
        "code.rate_limited",
        FailureCode.RATE_LIMITED,
        _any_code("rate_limit_exceeded", "rate_limited", "throttlingexception", "too_many_requests", "insufficient_quota"),
    ),
    Rule(
        "code.auth",
        FailureCode.AUTH,
        _any_code("invalid_api_key", "authentication_error", "permission_denied", "unauthorized", "forbidden"),
    ),
    Rule(
        "class.context_overflow",
        FailureCode.CONTEXT_OVERFLOW,
        _class_has("contextwindow", "contextlength", "contextoverflow"),
        FailureType.MODEL,
    ),
    Rule("class.content_filtered", FailureCode.CONTENT_FILTERED, _class_has("contentfilter", "contentpolicy"), FailureType.MODEL),
    # Statuses before classes: one class (`APIStatusError`, `HTTPError`) covers many statuses.
    Rule("http.timeout", FailureCode.TIMEOUT, _status(408, 504)),
    Rule("http.rate_limited", FailureCode.RATE_LIMITED, _status(429)),
    Rule("http.auth", FailureCode.AUTH, _status(401, 403, 407)),
    Rule("http.not_found", FailureCode.NOT_FOUND, _status(404, 410)),
    Rule(
        "http.too_large",
        FailureCode.CONTEXT_OVERFLOW,
        _prompt_too_large,
    ),
    Rule("http.invalid_input", FailureCode.INVALID_INPUT, _status(400, 405, 406, 409, 411, 413, 415, 422)),
    Rule("http.server_error", FailureCode.SERVER_ERROR, _server_status),
    # Errno before classes: `OSError` says little, its number much.
    Rule("errno.timeout", FailureCode.TIMEOUT, _errno(errno.ETIMEDOUT)),
    Rule(
        "errno.connection",
        FailureCode.CONNECTION,
        _errno(
            errno.ECONNREFUSED,
            errno.ECONNRESET,
            errno.ECONNABORTED,
            errno.EPIPE,
            errno.EHOSTUNREACH,
            errno.ENETUNREACH,
            errno.EHOSTDOWN,
        ),
    ),
    Rule("errno.not_found", FailureCode.NOT_FOUND, _errno(errno.ENOENT)),
    Rule("errno.auth", FailureCode.AUTH, _errno(errno.EACCES, errno.EPERM)),
    # Timeouts before connections: `ConnectTimeout` is both, and the remedy is the timeout's.
    Rule("class.timeout", FailureCode.TIMEOUT, _class_has("timeout", "deadlineexceeded", "timedout")),
    Rule(
        "class.rate_limited", FailureCode.RATE_LIMITED, _class_has("ratelimit", "throttl", "toomanyrequests", "resourceexhausted")
    ),
    Rule(
        "class.auth",
        FailureCode.AUTH,
        _class_has("authentication", "permission", "unauthorized", "forbidden", "credential", "unauthenticated"),
    ),
    # Schema before connections and input: `ValidationError` of a model's output is neither.
    Rule(
        "class.schema_invalid",
        FailureCode.SCHEMA_INVALID,
        _class_has("validationerror", "jsondecodeerror", "outputparser", "schemaerror", "decodeerror", "parseerror"),
    ),
    Rule(
        "class.connection",
        FailureCode.CONNECTION,
        _class_has(
            "connection", "connecterror", "brokenpipe", "networkerror", "gaierror", "remotedisconnected", "readerror", "sslerror"
        ),
    ),
    Rule(
        "class.server_error",
        FailureCode.SERVER_ERROR,
        _class_has("internalserver", "serviceunavailable", "servererror", "badgateway", "overloaded"),
    ),
    Rule("class.not_found", FailureCode.NOT_FOUND, _class_has("notfound", "doesnotexist", "lookuperror")),
    Rule(
        "class.invalid_input",
        FailureCode.INVALID_INPUT,
        _class_has("badrequest", "invalidargument", "unprocessable", "invalidinput"),
    ),
    Rule("class.tool_input", FailureCode.INVALID_INPUT, _input_of_tool),
    # Last: it failed, and nothing says why.
    Rule("any.unhandled", FailureCode.UNHANDLED_EXCEPTION, _failed),
)

_TYPES: Final = {
    StepKind.TOOL: FailureType.TOOL,
    StepKind.RETRIEVE: FailureType.RETRIEVAL,
    StepKind.PLAN: FailureType.MODEL,
    StepKind.RESPOND: FailureType.MODEL,
    StepKind.OTHER: FailureType.ORCHESTRATION,
}
