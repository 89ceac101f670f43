"""The second lock on names: whatever way events came in, nothing passes that a detector of `agenttracer.rules.names` hits.

A required name becomes `__redacted__`, a code `redacted`; labels, numbers and further names are left out. Each is counted by
detector, never by value, and a step says how many of its values it concerned. A required name without the form of one becomes a
pseudonym, where the gateway has a key for these. The fast codec has looked at flawless batches.
"""

from collections.abc import Generator, Mapping

from agenttracer.rules.names import fit as names
from agenttracer.rules.names.pseudonyms import Pseudonyms
from agenttracer.wire.events import Event, MetadataValue
from producer_gateway.errors import UnprocessableError
from producer_gateway.events.misfit import Misfit
from producer_gateway.events.name_walk import NameRules, rewriting
from producer_gateway.events.validate import ValidBatch
from servicekit.codec import is_clean


def locking(checked: ValidBatch, pseudonyms: Pseudonyms | None = None) -> Generator[None, None, ValidBatch]:
    """Returns the same without what is hit; `checked` itself where there is nothing. Yields where others may have a turn.

    Raises UnprocessableError for a producer's id that is hit, without pseudonyms.
    """
    return checked if checked.clean else (yield from rewriting(checked, _Detected(pseudonyms)))


class _Detected(NameRules):
    """The rules of the detectors."""

    def __init__(self, pseudonyms: Pseudonyms | None) -> None:
        super().__init__()
        self._pseudonyms = pseudonyms

    def producer_id(self, text: str) -> str:
        """See NameRules. A machine that is called after its address goes on under a pseudonym, where there is a key for these."""
        rule = names.id_rule(text)
        if rule is None:
            return text
        if self._pseudonyms is None:
            raise UnprocessableError(field="producer.id", code=rule)
        self.lost[rule] += 1
        return self._pseudonyms.of(text)

    def required(self, name: str, *, version: bool = False) -> str:
        """See NameRules. A misfit was counted when it was decoded."""
        if isinstance(name, Misfit):
            return names.unformed(name.text, self._pseudonyms)
        fitting = names.fit(name, version=version, pseudonyms=self._pseudonyms)
        if fitting.rule is not None:
            self.lost[fitting.rule] += 1
        return fitting.name

    def optional(self, name: str | None) -> str | None:
        """See NameRules."""
        if name is None or names.is_clean(name):
            return name
        self.lost[names.content_rule(name) or "name"] += 1
        return None

    def sdk(self, name: str | None) -> str | None:
        """See NameRules."""
        return self.optional(name)

    def code(self, code: str) -> str:
        """See NameRules."""
        if names.is_clean_code(code):
            return code
        self.lost[names.content_rule(code) or "code"] += 1
        return names.REDACTED_CODE

    def metadata(self, metadata: Mapping[str, MetadataValue]) -> Mapping[str, MetadataValue]:
        """See NameRules."""
        kept: dict[str, MetadataValue] = {}
        labels = 0
        for key, value in metadata.items():
            label = isinstance(value, str) and key not in names.REGISTERED_KEYS
            rule = "too_many_labels" if label and labels >= names.LABELS_MAX else names.entry_rule(key, value)
            if rule is None:
                kept[key] = value
                labels += label
            else:
                self.lost[rule] += 1
        return metadata if len(kept) == len(metadata) else kept

    def currency(self, code: str) -> bool:  # noqa: ARG002 - all have a form of three letters
        """See NameRules."""
        return True

    def passes(self, event: Event) -> bool:
        """See NameRules."""
        return is_clean(event)

    def redacted(self) -> int:
        """See NameRules."""
        return self.lost.total()
