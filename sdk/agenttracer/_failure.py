"""A failure that the agent's own code records: which scope it belongs to, and what of its message may go on."""

from time import perf_counter_ns
from typing import TYPE_CHECKING

from agenttracer._current import step_within
from agenttracer._draft import FailureDraft
from agenttracer._fingerprint import fingerprint_of
from agenttracer._fit import require_code, require_member
from agenttracer._ids import new_step_bits
from agenttracer.wire.vocabulary import FailureType

if TYPE_CHECKING:
    from agenttracer._run import Run
    from agenttracer._step import Step


def failure_of(run: "Run", *, failure_type: str, failure_code: str, message: str | None) -> FailureDraft:
    """The failure, in the step of `run` that the calling code is in. Raises MisfitError when strict. Keeps no text."""
    occurred_ns = perf_counter_ns()
    pipeline = run.pipeline
    if pipeline.strict:
        require_member(FailureType, failure_type, field="failure_type")
        require_code(failure_code, field="failure_code")
    step = step_within(run)
    key = pipeline.fingerprint_key
    text = message if isinstance(message, str) else None
    return FailureDraft(
        run=run,
        seq=next(run.seqs),
        failure_bits=_failure_bits(run, step),
        step_bits=0 if step is None else step.bits,
        occurred_ns=occurred_ns,
        failure_type=pipeline.fit.failure_type(failure_type),
        failure_code=pipeline.fit.code(failure_code),
        attempt=None if step is None else step.attempt,
        message_chars=None if text is None else len(text),
        message_fingerprint=fingerprint_of(text, key=key) if key and text is not None else None,
    )


def _failure_bits(run: "Run", step: "Step | None") -> int:
    """The first failure of a scope has the scope's own id, so that it replaces what would be concluded for it."""
    scope: Run | Step = run if step is None else step
    with run.pipeline.lock:
        first = not scope.failures
        scope.failures += 1
    return scope.bits if first else new_step_bits()
