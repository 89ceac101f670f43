"""Runs the SDK's example agents against a gateway and counts what they sent, by their own tracers.

The examples run unchanged. Only their `AgentTracer` is replaced by one that records the ids of its runs, because the store may
hold other runs.
"""

import asyncio
import importlib.util
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from agenttracer import AgentTracer, Run
from agenttracer.wire.events import Metadata
from agenttracer_cli.demo.errors import ExamplesError
from agenttracer_cli.installation import example_agents

NAMES: Final = ("support_agent", "fleet")


@dataclass(frozen=True, kw_only=True)
class SentCounts:
    """Counts of sent events with a sequence number; `accepted` ones were answered with 202."""

    run_ids: frozenset[str] = frozenset()
    emitted: int = 0
    accepted: int = 0
    dropped: int = 0


class RecordingTracer(AgentTracer):
    """A tracer whose runs and counts can be read later."""

    def __init__(self, tracers: "ExampleTracers", **settings: Any) -> None:  # noqa: ANN401 - handed on as they are
        super().__init__(**settings)
        self._tracers = tracers
        tracers.all.append(self)

    def start_run(self, *, metadata: Metadata | None = None, traceparent: str | None = None, session: str | None = None) -> Run:
        """Start a run and record its id."""
        run = super().start_run(metadata=metadata, traceparent=traceparent, session=session)
        self._tracers.run_ids.append(run.run_id)
        return run


class ExampleTracers:
    """All tracers that the examples made, and the ids of their runs."""

    def __init__(self) -> None:
        self.all: list[AgentTracer] = []
        self.run_ids: list[str] = []

    def sent(self) -> SentCounts:
        """Counts over all tracers."""
        stats = [tracer.stats() for tracer in list(self.all)]
        return SentCounts(
            run_ids=frozenset(list(self.run_ids)),
            emitted=sum(one.emitted for one in stats),
            accepted=sum(one.accepted for one in stats),
            dropped=sum(sum(one.dropped.values()) for one in stats),
        )


class ExampleRunner:
    """Runs the examples one after the other in a daemon thread."""

    def __init__(self, gateway_url: str, *, folder: Path | None = None, names: Sequence[str] = NAMES) -> None:
        self.tracers = ExampleTracers()
        self.expected: set[str] = set()
        """Failure codes that the examples provoked on purpose; complete once they are done."""
        self.problems: list[str] = []
        """One line for each example that failed, or whose own count differs from its tracers'."""
        self._gateway_url = gateway_url
        self._modules = [load((folder or example_agents()) / f"{name}.py") for name in names]
        self._thread = threading.Thread(target=self._send, name="demo-examples", daemon=True)

    @property
    def running(self) -> bool:
        """Whether an example still runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _send(self) -> None:
        for module in self._modules:
            try:
                self._send_one(module)
            except Exception as error:  # noqa: BLE001 - an example may fail in any way; the demo says so and shows the rest
                self.problems.append(f"example {_file_name(module)} ended with {type(error).__name__}")

    def _send_one(self, module: ModuleType) -> None:
        before = self.tracers.sent().emitted
        vars(module)["AgentTracer"] = partial(RecordingTracer, self.tracers)
        report = asyncio.run(module.main(self._gateway_url))
        self.expected |= report.failure_codes
        counted = self.tracers.sent().emitted - before
        if counted != report.events:
            self.problems.append(f"example {_file_name(module)} says {report.events} events, its tracers say {counted}")


def _file_name(module: ModuleType) -> str:
    return Path(str(module.__file__)).name


def load(path: Path) -> ModuleType:
    """Import an example by its path, as `python path` would find it. Raises ExamplesError if it is not there."""
    spec = importlib.util.spec_from_file_location(f"agenttracer_example_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ExamplesError(f"the demo's example agent {path.name} is missing from this installation; install it again")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their own module
    spec.loader.exec_module(module)
    return module
