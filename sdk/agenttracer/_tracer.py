"""The tracer: the object that an agent makes once, and the only way to start a run. It delegates to the pipeline."""

import time
from collections.abc import Callable
from os import PathLike
from typing import Final, overload

from agenttracer import _warn
from agenttracer._events.pending_event import MetadataInput
from agenttracer._events.sanitize import require_name
from agenttracer._export.counters import FlushResult, Stats
from agenttracer._tracing.decorators import FunctionT, OwnScopeVisit, wrap_function
from agenttracer._tracing.run import Run

_LONGEST_S: Final = 1e6


def _bounded_s(timeout_s: float) -> float:
    """A time that any system can wait for: infinity becomes long, and NaN becomes 0."""
    return min(max(0.0, float(timeout_s)), _LONGEST_S) if timeout_s == timeout_s else 0.0  # noqa: PLR0124 - false for NaN


class AgentTracer:
    """Traces the runs of one agent. Make one per agent and process; use it from any thread or task.

    No call blocks except `flush` and `shutdown`, and with `flush_on_end` the end of a run; none raises unless
    `strict=True`. Settings that are not given come from `AGENTTRACER_*` variables, then from defaults; sdk/README.md
    lists them all.
    """

    def __init__(
        self,
        *,
        agent_id: str,
        agent_version: str,
        api_url: str | None = None,
        api_key: str | None = None,
        allow_insecure: bool | None = None,
        disabled: bool | None = None,
        strict: bool | None = None,
        fingerprint_key: bytes | str | None = None,
        name_key: bytes | str | None = None,
        read_errors: bool | None = None,
        sample_rate: float | None = None,
        flush_interval_s: float | None = None,
        batch_max_events: int | None = None,
        queue_max_events: int | None = None,
        queue_max_bytes: int | None = None,
        spool_dir: str | PathLike[str] | None = None,
        spool_max_bytes: int | None = None,
        heartbeat_interval_s: float | None = None,
        abandon_after_s: int | None = None,
        connect_timeout_s: float | None = None,
        request_timeout_s: float | None = None,
        exit_timeout_s: float | None = None,
        flush_on_end: bool | None = None,
        flush_on_sigterm: bool | None = None,
    ) -> None:
        # The modules behind the public names load with the first tracer, not with the package.
        from agenttracer._config import load  # noqa: PLC0415 - loaded when first needed
        from agenttracer._export.pipeline import Pipeline  # noqa: PLC0415 - loaded when first needed

        config = load(
            {
                "api_url": api_url,
                "api_key": api_key,
                "allow_insecure": allow_insecure,
                "disabled": disabled,
                "strict": strict,
                "fingerprint_key": fingerprint_key,
                "name_key": name_key,
                "read_errors": read_errors,
                "sample_rate": sample_rate,
                "flush_interval_s": flush_interval_s,
                "batch_max_events": batch_max_events,
                "queue_max_events": queue_max_events,
                "queue_max_bytes": queue_max_bytes,
                "spool_dir": spool_dir,
                "spool_max_bytes": spool_max_bytes,
                "heartbeat_interval_s": heartbeat_interval_s,
                "abandon_after_s": abandon_after_s,
                "connect_timeout_s": connect_timeout_s,
                "request_timeout_s": request_timeout_s,
                "exit_timeout_s": exit_timeout_s,
                "flush_on_end": flush_on_end,
                "flush_on_sigterm": flush_on_sigterm,
            }
        )
        if config.strict:
            require_name(agent_id, field="agent_id")
            require_name(agent_version, field="agent_version")
        self._pipeline = Pipeline(config, agent_id=agent_id, agent_version=agent_version)

    def start_run(
        self, *, metadata: MetadataInput | None = None, traceparent: str | None = None, session: str | None = None
    ) -> Run:
        """Start a run now; leaving its `with` (or `async with`) block, or `Run.end`, ends it.

        It is the child of the run that `traceparent` names, the W3C header of an incoming call, or else of the run that the
        calling code is in, whatever tracer made that run. `metadata` has the form of a step's. `session` is the id of a
        conversation or thread: runs of one are found together. It is hashed with the `fingerprint_key` and never sent.
        """
        run = Run(self._pipeline)
        try:
            run.begin(metadata, traceparent, session)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            run.guard(error)
        return run

    @overload
    def traced_run(self, function: FunctionT, /) -> FunctionT: ...

    @overload
    def traced_run(self, /, *, metadata: MetadataInput | None = None) -> Callable[[FunctionT], FunctionT]: ...

    def traced_run(
        self, function: FunctionT | None = None, /, *, metadata: MetadataInput | None = None
    ) -> FunctionT | Callable[[FunctionT], FunctionT]:
        """Decorate a function, coroutine function, generator or async generator: each call of it is a run.

        `@tracer.traced_run` or `@tracer.traced_run(metadata=…)`. Arguments and values are passed on and never looked at.
        """

        def decorate(function: FunctionT) -> FunctionT:
            return wrap_function(function, lambda: OwnScopeVisit(self.start_run(metadata=metadata)))

        if function is not None and not callable(function):
            _warn.once("traced_run", "traced_run takes no name; a run's name is its agent's")
            return decorate
        return decorate if function is None else decorate(function)

    def flush(self, timeout_s: float = 10.0) -> FlushResult:
        """Send what was emitted so far and wait for it, at most `timeout_s` seconds. Blocks: in a coroutine use a thread."""
        try:
            return self._pipeline.flush(_bounded_s(timeout_s))
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            self._pipeline.guard(error)
            return self._pipeline.result(complete=False)

    def shutdown(self, timeout_s: float | None = None) -> FlushResult:
        """Flush within `timeout_s` seconds (default `exit_timeout_s`) and stop; later events are counted as dropped.

        The SDK calls it at the end of the process. Safe to call twice.
        """
        pipeline = self._pipeline
        try:
            allowed_s = pipeline.exit_timeout_s if timeout_s is None else _bounded_s(timeout_s)
            deadline = time.monotonic() + allowed_s
            pipeline.stop_by(deadline)
            pipeline.unregister()
            return pipeline.close(deadline)
        except Exception as error:  # noqa: BLE001 - telemetry never harms the agent
            pipeline.guard(error)
            return pipeline.result(complete=False)

    def stats(self) -> Stats:
        """The tracer's counters since the process began."""
        return self._pipeline.stats()
