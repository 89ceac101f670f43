"""See what your AI agents do in production, without storing what they read or wrote."""

from agenttracer._around import carry, traced_step
from agenttracer._counters import FlushResult, Stats
from agenttracer._current import current_run, current_step
from agenttracer._run import Run
from agenttracer._step import Step
from agenttracer._tracer import AgentTracer
from agenttracer.errors import AgentTracerError, ConfigError, MisfitError, UsageError

__version__ = "0.1.0"
"""As batches carry it. A test holds it equal to the package's metadata."""

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
