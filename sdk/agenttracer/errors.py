"""The SDK's errors. They are raised only with `strict=True`: otherwise the same faults are counted in `AgentTracer.stats()`.

AgentTracerError (Exception)
├── ConfigError    a setting cannot be used
├── MisfitError    a name, code or metadata entry does not fit the wire contract
└── UsageError     calls came in a wrong order, such as entering one step twice
"""

from collections.abc import Sequence


class AgentTracerError(Exception):
    """The root of everything this SDK raises."""


class ConfigError(AgentTracerError):
    """`setting` breaks `rule`. The value is not repeated: it could be a key."""

    def __init__(self, *, setting: str, rule: str) -> None:
        super().__init__(f"{setting} {rule}")
        self.setting = setting
        self.rule = rule


class MisfitError(AgentTracerError):
    """The parameter `field` breaks the contract's `rule`. The value is never kept: it could be content."""

    def __init__(self, *, field: str, rule: str, allowed: Sequence[str] = ()) -> None:
        super().__init__(f"{field}: {rule}" + (f"; it is one of {', '.join(allowed)}" if allowed else ""))
        self.field = field
        self.rule = rule


class UsageError(AgentTracerError):
    """A run or step was used in a wrong order."""
