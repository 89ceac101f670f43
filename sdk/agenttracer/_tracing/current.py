"""`current_run` and `current_step`: where the calling code is, as the public classes."""

from typing import cast

from agenttracer._tracing.context import current_scope
from agenttracer._tracing.run import Run
from agenttracer._tracing.step import Step


def current_run() -> Run | None:
    """The open run that the calling code is in, or None."""
    scope = current_scope()
    return None if scope is None else cast("Run", scope.run)


def current_step() -> Step | None:
    """The innermost open step that the calling code is in, or None."""
    scope = current_scope()
    return None if scope is None or scope is scope.run else cast("Step", scope)
