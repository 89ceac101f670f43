"""A failure that the agent's own code records: its id, and the length and fingerprint of its message."""

from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, cast

from agenttracer._events.pending_event import PendingFailure, PendingStep
from agenttracer._events.sanitize import is_fitting_name, require_code, require_member, require_name
from agenttracer._ids import new_step_bits
from agenttracer.wire.vocabulary import FailureType

if TYPE_CHECKING:
    from agenttracer._tracing.recorder import Recorder
    from agenttracer._tracing.traced_run import TraceScope
    from agenttracer.wire.events import ReturnedError

_HEX_DIGITS: Final = 32
_HTTP_STATUS: Final = range(100, 600)
_INT32: Final = range(-(2**31), 2**31)


def failure_of(scope: "TraceScope", *, failure_type: str, failure_code: str, message: str | None) -> PendingFailure:
    """A failure of that step, or of that run. Raises MisfitError when strict. Keeps no text."""
    occurred_ns = perf_counter_ns()
    run = scope.run
    recorder = run.recorder
    if recorder.strict:
        require_member(FailureType, failure_type, field="failure_type")
        require_code(failure_code, field="failure_code")
    key = recorder.fingerprint_key
    text = message if isinstance(message, str) else None
    return PendingFailure(
        run=run,
        seq=run.next_seq(),
        failure_bits=_failure_bits(scope),
        step_bits=scope.bits,
        occurred_ns=occurred_ns,
        failure_type=recorder.sanitizer.failure_type(failure_type),
        failure_code=recorder.sanitizer.waiting_code(failure_code),
        attempt=None if scope is run else cast("PendingStep", scope).attempt,
        message_chars=None if text is None else len(text),
        message_fingerprint=fingerprint_of(text, key=key) if key and text is not None else None,
    )


def returned_error_of(
    recorder: "Recorder", *, code: str | None, http_status: int | None, exit_status: int | None, error_class: str | None
) -> "ReturnedError":
    """An error that a step returned, of the values that fit. Raises MisfitError when strict."""
    from agenttracer.wire.events import ReturnedError  # noqa: PLC0415 - loaded by the first tracer, not by importing the SDK

    if recorder.strict and code is not None:
        require_code(code, field="code")
    if recorder.strict and error_class is not None:
        require_name(error_class, field="error_class")
    return ReturnedError(
        code=None if code is None else recorder.sanitizer.waiting_code(code),
        http_status=_within(http_status, _HTTP_STATUS),
        exit_status=_within(exit_status, _INT32),
        error_class=error_class if is_fitting_name(error_class) else None,
    )


def _within(value: object, numbers: range) -> int | None:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) and value in numbers else None


def _failure_bits(scope: "TraceScope") -> int:
    """The first failure of a scope has the scope's own id, so that it replaces what classification would find for it."""
    with scope.run.recorder.lock:
        first = not scope.failures
        scope.failures += 1
    return scope.bits if first else new_step_bits()


def fingerprint_of(message: str, *, key: bytes) -> str:
    """HMAC-SHA256 of the message's UTF-8 bytes, cut to 128 bits: equal messages group, none can be guessed."""
    import hmac  # noqa: PLC0415 - loads the TLS library; most agents configure no key

    return hmac.digest(key, message.encode("utf-8", "surrogatepass"), "sha256").hex()[:_HEX_DIGITS]
