"""Keeps the parts of a running pipeline alive: notices that one died, says so, starts it again, more slowly each time.

One that gave up stays down until somebody has looked.

When to start again is decided by `RestartPolicy`, which is pure; only `Supervisor` looks at processes and at the clock.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from deploy.errors import DeployError

_LOOK_EVERY_S = 0.5


class Part(Protocol):
    """Anything that runs as one process."""

    @property
    def name(self) -> str:
        """What it is called in the state directory."""

    @property
    def pid(self) -> int | None:
        """The process id; None when it does not run."""

    @property
    def gave_up(self) -> bool:
        """Whether it ended for a reason that starting it again does not mend."""

    def start(self) -> object:
        """Start it. Raises DeployError if that fails."""

    def log_tail(self) -> str:
        """Give the end of what it wrote."""


class RestartPolicy:
    """How long to wait before a part is started again: 1 s, doubled at each death up to 30 s, 1 s again after a quiet minute."""

    first_s = 1.0
    most_s = 30.0
    forgiven_after_s = 60.0

    def __init__(self) -> None:
        self._delay_s = 0.0
        self._died_at: float | None = None

    def died(self, *, now: float) -> float:
        """Give the seconds to wait after a death at this time."""
        quiet = self._died_at is None or now - self._died_at - self._delay_s >= self.forgiven_after_s
        self._delay_s = self.first_s if quiet else min(self._delay_s * 2, self.most_s)
        self._died_at = now
        return self._delay_s


class Supervisor:
    """Watches parts until told to stop."""

    def __init__(self, parts: Sequence[Part], *, report: Callable[[str], None], restarted: Callable[[], object]) -> None:
        self._parts = parts
        self._report = report
        self._restarted = restarted
        self._policies = {part.name: RestartPolicy() for part in parts}
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

    def _died(self, part: Part, *, now: float) -> None:
        self._report(f"{part.name} died; the end of its log:\n{part.log_tail()}")
        if part.gave_up:
            self._down.add(part.name)
            self._report(f"{part.name} gave up and stays down: mend what its log says, then start everything anew")
        else:
            self._plan(part, now=now)

    def _restart(self, part: Part, *, now: float) -> None:
        try:
            part.start()
        except DeployError as error:
            self._report(str(error))
            self._plan(part, now=now)
        else:
            self._report(f"{part.name} started again")
            self._restarted()

    def _plan(self, part: Part, *, now: float) -> None:
        delay_s = self._policies[part.name].died(now=now)
        self._due[part.name] = now + delay_s
        self._report(f"{part.name} will be started again in {delay_s:.0f} s")
