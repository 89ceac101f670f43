"""See what your AI agents do in production, without storing what they read or wrote."""

from agenttracer._export.counters import FlushResult, Stats
from agenttracer._tracer import AgentTracer
from agenttracer._tracing.current import current_run, current_step
from agenttracer._tracing.decorators import carry, traced_step
from agenttracer._tracing.run import Run
from agenttracer._tracing.step import Step
from agenttracer._version import __version__
from agenttracer.errors import AgentTracerError, ConfigError, MisfitError, UsageError

__all__ = [
    "AgentTracer",
    "AgentTracerError",
    "ConfigError",
    "FlushResult",
    "MisfitError",
    "Run",
    "Stats",
    "Step",
    "UsageError",
    "__version__",
    "carry",
    "current_run",
    "current_step",
    "traced_step",
]
