"""The table of prices: its file, its rules, and the price of a model by its name. Pure but for reading the file."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agenttracer.wire import form

SHIPPED: Final = Path(__file__).with_name("2026-11.json")
_FILE_MAX_BYTES: Final = 1_048_576
_MILLION: Final = 1_000_000
_SEPARATORS: Final = "-:@/."
"""What may follow a model's name where its version begins: `gpt-4o-2024-08-06` has the price of `gpt-4o`."""


class BadPricesError(ValueError):
    """The file is no table of prices: JSON with version, currency USD, and input and output per million tokens by model."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


class Price(BaseModel):
    """US dollars for a million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
    output: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]

    def of(self, *, input_tokens: int, output_tokens: int) -> float:
        """The price of so many tokens in US dollars. Input tokens include cached ones, whose discount is not known."""
        return (self.input * input_tokens + self.output * output_tokens) / _MILLION


class PriceTable(BaseModel):
    """List prices by model, as of a version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, Field(pattern=f"^{form.NAME_PATTERN}$", max_length=form.NAME_MAX_CHARS)]
    currency: Annotated[str, Field(pattern="^USD$")]
    per_million_tokens: Mapping[Annotated[str, Field(pattern=f"^{form.NAME_PATTERN}$")], Price]

    @cached_property
    def _longest_first(self) -> list[str]:
        return sorted(self.per_million_tokens, key=len, reverse=True)

    def price(self, model: str) -> Price | None:
        """That of the longest name with which the model's begins, a provider's prefix left out; None for no price."""
        name = model.lower().rpartition("/")[2]
        for known in self._longest_first:
            if name == known or (name.startswith(known) and name[len(known)] in _SEPARATORS):
                return self.per_million_tokens[known]
        return None


def read_prices(path: Path = SHIPPED) -> PriceTable:
    """Raises BadPricesError, and OSError where the file cannot be read."""
    if path.stat().st_size > _FILE_MAX_BYTES:
        raise BadPricesError
    try:
        return PriceTable.model_validate_json(path.read_bytes())
    except ValidationError:
        raise BadPricesError from None
