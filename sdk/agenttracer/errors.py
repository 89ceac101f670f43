"""What the SDK can object to. Raised only with `strict=True`: otherwise the same things are counted in `AgentTracer.stats()`.

AgentTracerError (Exception)
├── ConfigError    a setting cannot be used
├── MisfitError    a name, code or metadata entry does not fit the wire contract
└── UsageError     calls in an order that means nothing, such as entering one step twice
"""


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

    def __init__(self, *, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class UsageError(AgentTracerError):
    """A run or step was used in an order that means nothing."""
