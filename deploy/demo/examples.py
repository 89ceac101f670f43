"""Runs the agents of `sdk/examples` against a gateway, and keeps the account of what they sent, as their tracers count it.

The examples run as they are. Only their `AgentTracer` is one that notes the ids of its runs, since a store can hold others.
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
from deploy.demo.errors import ExamplesError

FOLDER: Final = Path(__file__).resolve().parents[2] / "sdk" / "examples"
NAMES: Final = ("support_agent", "fleet")


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What was sent so far. Events are those with a sequence number; `accepted` ones were answered with 202."""

    run_ids: frozenset[str] = frozenset()
    emitted: int = 0
    accepted: int = 0
    dropped: int = 0


class WatchedTracer(AgentTracer):
    """A tracer whose runs and counts can be asked for afterwards."""

    def __init__(self, account: "Account", **settings: Any) -> None:  # noqa: ANN401 - handed on as they are
        super().__init__(**settings)
        self._account = account
        account.tracers.append(self)

    def start_run(self, *, metadata: Metadata | None = None, traceparent: str | None = None) -> Run:
        """Start a run, and note its id."""
        run = super().start_run(metadata=metadata, traceparent=traceparent)
        self._account.run_ids.append(run.run_id)
        return run


class Account:
    """All tracers that the examples made, and all runs that these started."""

    def __init__(self) -> None:
        self.tracers: list[AgentTracer] = []
        self.run_ids: list[str] = []

    def sent(self) -> Sent:
        """What was sent until now."""
        stats = [tracer.stats() for tracer in list(self.tracers)]
        return Sent(
            run_ids=frozenset(list(self.run_ids)),
            emitted=sum(one.emitted for one in stats),
            accepted=sum(one.accepted for one in stats),
            dropped=sum(sum(one.dropped.values()) for one in stats),
        )


class Sending:
    """The examples at work, one after the other, in a thread that does not keep a process alive."""

    def __init__(self, gateway_url: str, *, folder: Path = FOLDER, names: Sequence[str] = NAMES) -> None:
        self.account = Account()
        self.expected: set[str] = set()
        """Failure codes that the examples say they provoked; complete once they are done."""
        self.troubles: list[str] = []
        """One line an example that did not get to its end, or counted other events than its tracers did."""
        self._gateway_url = gateway_url
        self._modules = [load(folder / f"{name}.py") for name in names]
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
                self.troubles.append(f"example {_file_name(module)} ended with {type(error).__name__}")

    def _send_one(self, module: ModuleType) -> None:
        before = self.account.sent().emitted
        vars(module)["AgentTracer"] = partial(WatchedTracer, self.account)
        report = asyncio.run(module.main(self._gateway_url))
        self.expected |= report.failure_codes
        counted = self.account.sent().emitted - before
        if counted != report.events:
            self.troubles.append(f"example {_file_name(module)} says {report.events} events, its tracers say {counted}")


def _file_name(module: ModuleType) -> str:
    return Path(str(module.__file__)).name


def load(path: Path) -> ModuleType:
    """Import an example by its path, as `python path` would find it. Raises ExamplesError if it is not there."""
    spec = importlib.util.spec_from_file_location(f"agenttracer_example_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ExamplesError(f"the demo runs {path.name} of sdk/examples, which is not here; run it in a checkout")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their own module
    spec.loader.exec_module(module)
    return module
