"""Calls of decorated functions outside any run, counted for the whole process: they are steps that nobody will see."""

from typing import Final


class UntracedCalls:
    """A count that any thread may add to."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls = 0

    def add(self) -> None:
        """One more. CPython switches threads at calls and jumps, and there is none."""
        self.calls += 1


untraced: Final = UntracedCalls()
