"""Keeps the processes of a running pipeline alive: reports one that ended and starts it again, with a growing delay.

A process that gave up stays down, because a restart would not help.

When to start again is decided by `RestartBackoff`, which is pure; only `Supervisor` looks at processes and at the clock.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from agenttracer_cli.errors import DeployError
from servicekit.restart_backoff import RestartBackoff

_LOOK_EVERY_S = 0.5


class SupervisedProcess(Protocol):
    """A part of the pipeline that runs as one process."""

    @property
    def name(self) -> str:
        """Its name in the state directory."""

    @property
    def pid(self) -> int | None:
        """The process id; None when it does not run."""

    @property
    def gave_up(self) -> bool:
        """Whether it ended for a reason that a restart does not remove."""

    def start(self) -> object:
        """Start it. Raises DeployError if that fails."""

    def log_tail(self) -> str:
        """Give the end of what it wrote."""


class Supervisor:
    """Watches processes until `stop` is set."""

    def __init__(
        self, parts: Sequence[SupervisedProcess], *, report: Callable[[str], None], restarted: Callable[[], object]
    ) -> None:
        self._parts = parts
        self._report = report
        self._restarted = restarted
        self._backoffs = {part.name: RestartBackoff() for part in parts}
        self._due: dict[str, float] = {}
        self._down: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Look at every part twice a second until `stop` is set."""
        while not stop.wait(_LOOK_EVERY_S):
            self.look(now=time.monotonic())

    def look(self, *, now: float) -> None:
        """Look once: plan a restart for what died, carry out those that are due."""
        for part in self._parts:
            due = self._due.get(part.name)
            if due is not None and now >= due:
                del self._due[part.name]
                self._restart(part, now=now)
            elif due is None and part.name not in self._down and part.pid is None:
                self._died(part, now=now)

    def _died(self, part: SupervisedProcess, *, now: float) -> None:
        self._report(f"{part.name} died; the end of its log:\n{part.log_tail()}")
        if part.gave_up:
            self._down.add(part.name)
            self._report(f"{part.name} gave up and stays down: fix what its log says, then restart everything")
        else:
            self._plan(part, now=now)

    def _restart(self, part: SupervisedProcess, *, now: float) -> None:
        try:
            part.start()
        except DeployError as error:
            self._report(str(error))
            self._plan(part, now=now)
        else:
            self._report(f"{part.name} started again")
            self._restarted()

    def _plan(self, part: SupervisedProcess, *, now: float) -> None:
        delay_s = self._backoffs[part.name].ended(now=now)
        self._due[part.name] = now + delay_s
        self._report(f"{part.name} will be started again in {delay_s:.0f} s")
