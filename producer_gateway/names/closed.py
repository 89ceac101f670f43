"""The rules of a closed project: a name that its owner did not allow, and that is no word of ours, becomes a pseudonym.

Pseudonyms that a sender made are taken for names like any other: ten digits could be anything.
"""

from collections.abc import Generator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from agenttracer.rules.names.pseudonyms import Pseudonyms
from agenttracer.wire.events import Event, MetadataValue
from producer_gateway.events.name_walk import NameRules, rewriting
from producer_gateway.events.validate import ValidBatch
from producer_gateway.names import vocabulary

NOT_ALLOWED: Final = "not_allowed"
"""The rule by which values are counted that are no allowed names."""


def closing(checked: ValidBatch, allowed: AbstractSet[str], pseudonyms: Pseudonyms) -> Generator[None, None, ValidBatch]:
    """Returns the same with nothing but allowed names. Yields where others may have a turn."""
    return rewriting(checked, _Closed(allowed, pseudonyms))


class _Closed(NameRules):
    """What becomes of names. Pseudonyms are remembered as long as one request takes, since agents repeat their names."""

    def __init__(self, allowed: AbstractSet[str], pseudonyms: Pseudonyms) -> None:
        super().__init__()
        self._allowed = allowed
        self._pseudonyms = pseudonyms
        self._made: dict[str, str] = {}

    def producer_id(self, text: str) -> str:
        """See NameRules."""
        return text if self._passes(text) else self._pseudonym(text)  # ids are no names: none is missed

    def required(self, name: str, *, version: bool = False) -> str:  # noqa: ARG002 - versions are names here
        """See NameRules."""
        return name if self._passes(name) else self._replaced(name)

    def optional(self, name: str | None) -> str | None:
        """See NameRules."""
        return name if name is None or self._passes(name) else self._replaced(name)

    def sdk(self, name: str | None) -> str | None:
        """See NameRules."""
        return name if name is None or vocabulary.SDK.fullmatch(name) else self.optional(name)

    def code(self, code: str) -> str:
        """See NameRules."""
        if code in vocabulary.CODES or code in self._allowed:
            return code
        self.lost[NOT_ALLOWED] += 1
        return self._pseudonyms.of_code(code)

    def metadata(self, metadata: Mapping[str, MetadataValue]) -> Mapping[str, MetadataValue]:
        """See NameRules. An entry under a key that is not allowed is left out."""
        kept: dict[str, MetadataValue] = {}
        for key, value in metadata.items():
            if key not in vocabulary.KEYS and key not in self._allowed:
                self.lost[NOT_ALLOWED] += 1
            elif isinstance(value, str) and not self._passes(value):
                kept[key] = self._replaced(value)
            else:
                kept[key] = value
        return metadata if kept == metadata else kept

    def currency(self, code: str) -> bool:
        """See NameRules."""
        if code in vocabulary.CURRENCIES:
            return True
        self.lost[NOT_ALLOWED] += 1
        return False

    def passes(self, event: Event) -> bool:  # noqa: ARG002 - a look at its names is the cheapest there is
        """See NameRules."""
        return False

    def redacted(self) -> int:
        """See NameRules: the names that were replaced may well be names."""
        return 0

    def _passes(self, name: str) -> bool:
        return name in vocabulary.NAMES or name in self._allowed

    def _replaced(self, name: str) -> str:
        self.lost[NOT_ALLOWED] += 1
        return self._pseudonym(name)

    def _pseudonym(self, name: str) -> str:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = self._pseudonyms.of(name)
        return made
