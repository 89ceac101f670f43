"""The closed sets of the contract. Adding a member is a minor version, removing or renaming one a major version."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class StepKind(StrEnum):
    """The kind of work that a step does in its run."""

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


class EndReason(StrEnum):
    """Why a run, or an agent inside a run, ended. `END_STATUS` says which status each goes with."""

    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    LIMIT_STEPS = "limit_steps"
    LIMIT_TIME = "limit_time"
    LIMIT_TOKENS = "limit_tokens"
    LIMIT_COST = "limit_cost"
    EXITED = "exited"


END_STATUS: Final[Mapping[EndReason, frozenset[RunEnd]]] = {
    EndReason.COMPLETED: frozenset({RunEnd.SUCCESS, RunEnd.PARTIAL}),
    EndReason.ERROR: frozenset({RunEnd.FAILURE}),
    EndReason.CANCELLED: frozenset({RunEnd.PARTIAL}),
    EndReason.INTERRUPTED: frozenset({RunEnd.PARTIAL}),
    EndReason.LIMIT_STEPS: frozenset({RunEnd.FAILURE}),
    EndReason.LIMIT_TIME: frozenset({RunEnd.FAILURE}),
    EndReason.LIMIT_TOKENS: frozenset({RunEnd.FAILURE}),
    EndReason.LIMIT_COST: frozenset({RunEnd.FAILURE}),
    EndReason.EXITED: frozenset({RunEnd.PARTIAL}),
}
"""The ends that a reason may stand beside. Workers leave out a reason that contradicts its status."""


class RunKind(StrEnum):
    """What a run is. A trace whose root is no agent is none itself; agents inside it are."""

    AGENT = "agent"
    TRACE = "trace"


class RunStatus(StrEnum):
    """A run's status in the store: an end, `running`, or `abandoned` after too long a silence."""

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
    """The codes that classification can find. Producers may record further codes of their own, in the same form."""

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
    TIME_LIMIT_EXCEEDED = "time_limit_exceeded"
    TOKEN_LIMIT_EXCEEDED = "token_limit_exceeded"  # noqa: S105 - no secret
    COST_LIMIT_EXCEEDED = "cost_limit_exceeded"
    CODE_ERROR = "code_error"
    TOOL_ERROR = "tool_error"
    TOOL_UNAVAILABLE = "tool_unavailable"
    GUARDRAIL_TRIPPED = "guardrail_tripped"
    HANDOFF_FAILED = "handoff_failed"
    OUTPUT_TRUNCATED = "output_truncated"
    EMPTY_ANSWER = "empty_answer"
    UNHANDLED_EXCEPTION = "unhandled_exception"
    ABANDONED = "abandoned"


class DropReason(StrEnum):
    """Why a producer dropped an event before it was accepted."""

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

MEASURING_ENDINGS: Final = ("_tokens", "_count", "_chars", "_version", "_id", "_name", "_type", "_score", "_ms")
"""Endings of segments that say what about the content a value is: it is not the content."""

INVALID_NAME: Final = "__invalid__"
"""Replaces a required name that did not fit the form of names. It fits no form itself, so no agent sends it by accident."""
REDACTED_NAME: Final = "__redacted__"
"""Replaces a required name in which a detector found what names must not hold: a number of a card, a secret, prose."""
OTHER_NAME: Final = "__other__"
"""Replaces names beyond the number of different ones per project and day that the gateway lets into statistics."""
RESERVED_NAMES: Final = frozenset({INVALID_NAME, REDACTED_NAME, OTHER_NAME})
"""Allowed in place of a required name, though they are no names."""
