"""The errors of the contract.

ContractError (ValueError)
└── VersionError    the batch or record is of a major version that this reader does not know
"""


class ContractError(ValueError):
    """Input breaks the contract: `field` (a path such as `events[3].name`) breaks `rule`. The value itself is never kept."""

    def __init__(self, *, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule

    def below(self, prefix: str) -> "ContractError":
        """The same error, with the field's path one level longer."""
        return type(self)(field=f"{prefix}.{self.field}" if self.field else prefix, rule=self.rule)


class VersionError(ContractError):
    """The major version is unknown to this reader; `envelope.SUPPORTED` is what it knows."""
