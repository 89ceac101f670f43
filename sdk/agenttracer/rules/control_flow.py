"""Exceptions that are no failures, and those by which an agent ran into a limit: closed lists of class names, read by no import.

Frameworks pause, hand over and stop by raising. A name counts wherever the class comes from: telemetry of other languages and of
other tracers knows only the name, with or without its module.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from agenttracer.wire.vocabulary import EndReason

CANCELLED: Final = frozenset(
    {
        "ABORT_ERR",  # Node, in place of the class
        "AbortError",  # JavaScript
        "CancellationException",  # Java, Kotlin
        "Cancelled",  # trio
        "CancelledError",  # asyncio, concurrent.futures
        "ClientDisconnect",  # Starlette
        "ERR_CANCELED",  # axios, in place of the class
        "GeneratorExit",
        "KeyboardInterrupt",
        "OperationCanceledException",  # .NET
        "TaskCanceledException",  # .NET
        "TaskRevokedError",  # Celery
    }
)
"""The caller left, or asked to stop."""
INTERRUPTED: Final = frozenset(
    {
        "ApprovalRequired",  # pydantic-ai
        "CallDeferred",  # pydantic-ai
        "CompleteAsyncError",  # Temporal: somebody else will complete the activity
        "ContinueAsNewError",  # Temporal
        "GraphInterrupt",  # LangGraph
        "NodeInterrupt",  # LangGraph
        "Reject",  # Celery
        "Retry",  # Celery: back into the queue
    }
)
"""A person is asked, or the work is handed to somebody else: it goes on later."""
CONTROL_FLOW: Final = frozenset(
    {
        "GraphBubbleUp",  # LangGraph, the base of its own
        "GraphDelegate",  # LangGraph
        "Ignore",  # Celery
        "ParentCommand",  # LangGraph: a `Command` for the graph around
        "StopAsyncIteration",
        "StopIteration",
        "SystemExit",  # with a status other than 0 it is an error, where the status is known
    }
)
"""Nothing failed and nothing was cut off."""
LIMITS: Final[Mapping[str, EndReason]] = {
    "AgentMaxStepsError": EndReason.LIMIT_STEPS,  # smolagents
    "BudgetExceededError": EndReason.LIMIT_COST,  # LiteLLM
    "GraphRecursionError": EndReason.LIMIT_STEPS,  # LangGraph
    "MaxTurnsExceeded": EndReason.LIMIT_STEPS,  # OpenAI Agents
    "SoftTimeLimitExceeded": EndReason.LIMIT_TIME,  # Celery
    "TimeLimitExceeded": EndReason.LIMIT_TIME,  # Celery
    "UsageLimitExceeded": EndReason.LIMIT_STEPS,  # pydantic-ai, whose default limit is one of requests
}
"""An agent that runs into one has failed."""


def end_reason_of_class(name: str) -> EndReason | None:
    """`end_reason_of` an exception of which no more than its class's name is known."""
    return end_reason_of((name,))


def end_reason_of(class_names: Iterable[str]) -> EndReason | None:
    """Why something ended that an exception of this class left: the first name that is in a list decides.

    `class_names` are those of the class and its bases, the class first, with or without modules. `completed`: the exception
    says nothing. None: it is an error like any other.
    """
    for name in class_names:
        short = name.rpartition(".")[2]
        if short in CANCELLED:
            return EndReason.CANCELLED
        if short in INTERRUPTED:
            return EndReason.INTERRUPTED
        if short in CONTROL_FLOW:
            return EndReason.COMPLETED
        if short in LIMITS:
            return LIMITS[short]
    return None
