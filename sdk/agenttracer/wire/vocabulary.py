"""The closed sets of the contract. Adding a member is a minor version, removing or renaming one a major version."""

from enum import StrEnum
from typing import Final


class StepKind(StrEnum):
    """What a step does in its run."""

    PLAN = "plan"
    RETRIEVE = "retrieve"
    TOOL = "tool"
    RESPOND = "respond"
    OTHER = "other"


class StepStatus(StrEnum):
    """How a step ended. An error is one attempt's: a later attempt may have succeeded."""

    OK = "ok"
    ERROR = "error"


class RunEnd(StrEnum):
    """How a producer says that a run ended."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"


class RunStatus(StrEnum):
    """How a run stands in the store: an end, or its absence (`abandoned` once its silence lasted too long)."""

    RUNNING = "running"
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"
    ABANDONED = "abandoned"


class FailureType(StrEnum):
    """The part of an agent that failed."""

    TOOL = "tool"
    MODEL = "model"
    RETRIEVAL = "retrieval"
    ORCHESTRATION = "orchestration"


class FailureCode(StrEnum):
    """What classification can find. Producers may record further codes of their own, in the same form."""

    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXCEEDED = "quota_exceeded"
    AUTH = "auth"
    CONNECTION = "connection"
    SERVER_ERROR = "server_error"
    NOT_FOUND = "not_found"
    TOOL_NOT_FOUND = "tool_not_found"
    CONFLICT = "conflict"
    INVALID_INPUT = "invalid_input"
    SCHEMA_INVALID = "schema_invalid"
    EMPTY_RETRIEVAL = "empty_retrieval"
    CONTEXT_OVERFLOW = "context_overflow"
    CONTENT_FILTERED = "content_filtered"
    CANCELLED = "cancelled"
    STEP_LIMIT_EXCEEDED = "step_limit_exceeded"
    LOOP_SUSPECTED = "loop_suspected"
    UNHANDLED_EXCEPTION = "unhandled_exception"
    ABANDONED = "abandoned"


class DropReason(StrEnum):
    """Why a producer gave an event up before it was accepted."""

    QUEUE_FULL = "queue_full"
    TOO_LARGE = "too_large"
    REFUSED = "refused"
    UNAUTHORIZED = "unauthorized"
    EXIT = "exit"
    FORK = "fork"
    INTERNAL = "internal"


CONTENT_WORDS: Final = frozenset(
    {
        "answer",
        "args",
        "argument",
        "arguments",
        "body",
        "completion",
        "completions",
        "content",
        "contents",
        "context",
        "document",
        "documents",
        "input",
        "inputs",
        "instructions",
        "kwargs",
        "message",
        "messages",
        "output",
        "outputs",
        "payload",
        "prompt",
        "prompts",
        "query",
        "question",
        "reasoning",
        "response",
        "responses",
        "result",
        "results",
        "text",
        "thought",
        "thoughts",
        "transcript",
    }
)
"""Segments of a metadata key that name content. Under such a key only numbers and booleans may travel."""

INVALID_NAME: Final = "__invalid__"
"""Stands where a required name did not fit the form of names. It fits no form itself, so nobody can send it by accident."""
OTHER_NAME: Final = "__other__"
"""Stands where a project brought more different names into a day than the gateway lets into statistics."""
RESERVED_NAMES: Final = frozenset({INVALID_NAME, OTHER_NAME})
"""What may stand for a required name besides names."""
