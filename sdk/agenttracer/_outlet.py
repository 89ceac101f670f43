"""Where runs put what they have to say: a promise, and the outlet of a tracer that is switched off."""

from typing import Protocol

from agenttracer._draft import Draft, StepDraft


class Outlet(Protocol):
    """The queue, a capture for tests, or nowhere."""

    def detail(self, draft: StepDraft) -> None:
        """Take a step. Never blocks, never raises."""

    def reserved(self, draft: Draft) -> None:
        """Take anything else. Never blocks, never raises."""


class Nowhere:
    """Forgets everything."""

    def detail(self, draft: StepDraft) -> None:
        """Forget a step."""

    def reserved(self, draft: Draft) -> None:
        """Forget anything else."""
