"""A failure that the agent's own code records: which id it gets, and what of its message may go on."""

from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from agenttracer._draft import FailureDraft
from agenttracer._fit import require_code, require_member
from agenttracer._ids import new_step_bits
from agenttracer.wire.vocabulary import FailureType

_HEX_DIGITS: Final = 32

if TYPE_CHECKING:
    from agenttracer._run import Run
    from agenttracer._step import Step


def failure_of(scope: "Run | Step", *, failure_type: str, failure_code: str, message: str | None) -> FailureDraft:
    """A failure of that step, or of that run. Raises MisfitError when strict. Keeps no text."""
    occurred_ns = perf_counter_ns()
    run = scope.run
    step = None if scope is run else scope
    pipeline = run.pipeline
    if pipeline.strict:
        require_member(FailureType, failure_type, field="failure_type")
        require_code(failure_code, field="failure_code")
    key = pipeline.fingerprint_key
    text = message if isinstance(message, str) else None
    return FailureDraft(
        run=run,
        seq=next(run.seqs),
        failure_bits=_failure_bits(scope),
        step_bits=scope.bits,
        occurred_ns=occurred_ns,
        failure_type=pipeline.fit.failure_type(failure_type),
        failure_code=pipeline.fit.code(failure_code),
        attempt=None if step is None else step.attempt,  # type: ignore[union-attr]  # a scope that is not its run is a step
        message_chars=None if text is None else len(text),
        message_fingerprint=fingerprint_of(text, key=key) if key and text is not None else None,
    )


def _failure_bits(scope: "Run | Step") -> int:
    """The first failure of a scope has the scope's own id, so that it replaces what would be concluded for it."""
    with scope.run.pipeline.lock:
        first = not scope.failures
        scope.failures += 1
    return scope.bits if first else new_step_bits()


def fingerprint_of(message: str, *, key: bytes) -> str:
    """HMAC-SHA256 of the message's UTF-8 bytes, cut to 128 bits: equal messages group, none can be guessed."""
    import hmac  # noqa: PLC0415 - loads the TLS library; most agents configure no key

    return hmac.digest(key, message.encode("utf-8", "surrogatepass"), "sha256").hex()[:_HEX_DIGITS]
