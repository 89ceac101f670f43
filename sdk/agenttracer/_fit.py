"""Making values fit the wire contract: what does not is left out or replaced, and counted by the contract's rule.

The sender's thread uses `Fit`; with `strict=True` the agent's thread calls the `require_…` functions first, which raise.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, TypeVar

from agenttracer import _warn
from agenttracer._traceparent import Origin, parsed
from agenttracer.errors import MisfitError
from agenttracer.wire import form
from agenttracer.wire.metadata import MAX_KEYS, MetadataValue, metadata_rule
from agenttracer.wire.vocabulary import INVALID_NAME, FailureType, StepKind

CODE_PLACEHOLDER: Final = "unspecified"
"""Stands for a failure code that did not fit even after `Rate-Limit` was read as `rate_limit`."""

_StrEnumT = TypeVar("_StrEnumT", bound=StrEnum)


def is_fitting_name(value: object) -> bool:
    """Whether `value` is a name as the contract wants it."""
    return isinstance(value, str) and len(value) <= form.NAME_MAX_CHARS and form.is_name(value)


def _plain(value: object) -> str | None:
    """The text of a str, without what a subclass makes of it; None for anything else, however it poses."""
    return str.__str__(value) if issubclass(type(value), str) else None


class Fit:
    """Replaces or leaves out what does not fit. `note` is told the rule each time."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    def name(self, value: object, *, field: str) -> str:
        """A name that fits: `value`, or with `-` for its spaces, or `__invalid__`."""
        text = _plain(value)
        if text is not None and is_fitting_name(text):
            return text
        fitting = INVALID_NAME if text is None else form.fitting_name(text)
        self._misfit("name", f"{field} does not have the form of a name; it is sent with '-' for spaces or as {INVALID_NAME}")
        return fitting

    def code(self, value: object) -> str:
        """A failure code that fits: `value`, or in lower case with `_` for `-`, or `unspecified`."""
        text = _plain(value)
        if text is not None and len(text) <= form.NAME_MAX_CHARS:
            if form.is_code(text):
                return text
            self._misfit("code", "failure_code does not have the form of a code; it is sent in lower case with '_'")
            lowered = text.lower().replace("-", "_")
            return lowered if form.is_code(lowered) else CODE_PLACEHOLDER
        self._misfit("code", f"failure_code does not have the form of a code; it is sent as {CODE_PLACEHOLDER}")
        return CODE_PLACEHOLDER

    def kind(self, value: object) -> StepKind:
        """A step kind of the vocabulary, `other` for one that is not."""
        return self._member(StepKind, value, fallback=StepKind.OTHER)

    def failure_type(self, value: object) -> FailureType:
        """A failure type of the vocabulary, `orchestration` for one that is not."""
        return self._member(FailureType, value, fallback=FailureType.ORCHESTRATION)

    def metadata(self, given: Mapping[str, object] | None) -> dict[str, MetadataValue]:
        """The entries that fit. At most `MAX_KEYS` of them."""
        kept: dict[str, MetadataValue] = {}
        if given is not None and not isinstance(given, Mapping):
            self.left_out("type")
            return kept
        for key, value in (given or {}).items():
            rule = metadata_rule(key, value) if len(kept) < MAX_KEYS else "too_many_keys"
            if rule is None:
                kept[key] = value  # type: ignore[assignment]  # metadata_rule has just said so
            else:
                self.left_out(rule)
        return kept

    def traceparent(self, header: object) -> Origin | None:
        """What a `traceparent` header says, or None when it is malformed: the run then starts without a parent."""
        origin = parsed(header)
        if origin is None:
            self._misfit("traceparent", "a traceparent header is malformed; its run starts without a parent")
        return origin

    def left_out(self, rule: str) -> None:
        """A metadata entry was left out."""
        self._misfit(rule, f"metadata was left out (rule {rule}); AgentTracer.stats().misfits counts how often")

    def _member(self, vocabulary: type[_StrEnumT], value: object, *, fallback: _StrEnumT) -> _StrEnumT:
        text = _plain(value)
        for member in vocabulary:
            if member == text:
                return member
        self._misfit("unknown_value", f"a {vocabulary.__name__} is not in the contract's vocabulary; it is sent as {fallback}")
        return fallback

    def _misfit(self, rule: str, text: str) -> None:
        self._note(rule)
        _warn.once(f"misfit:{rule}", text)


def require_name(value: object, *, field: str) -> None:
    """Raise MisfitError unless `value` is a name."""
    if not is_fitting_name(value):
        raise MisfitError(field=field, rule="name")


def require_code(value: object, *, field: str) -> None:
    """Raise MisfitError unless `value` is a failure code."""
    if not isinstance(value, str) or len(value) > form.NAME_MAX_CHARS or not form.is_code(value):
        raise MisfitError(field=field, rule="code")


def require_member(vocabulary: type[StrEnum], value: object, *, field: str) -> None:
    """Raise MisfitError unless `value` is in `vocabulary`."""
    if value not in set(vocabulary):
        raise MisfitError(field=field, rule="unknown_value")


def require_traceparent(header: object) -> None:
    """Raise MisfitError unless `header` is a well-formed `traceparent`, or None."""
    if header is not None and parsed(header) is None:
        raise MisfitError(field="traceparent", rule="traceparent")


def require_metadata(given: object, *, present: int = 0) -> None:
    """Raise MisfitError unless every entry fits, beside the `present` ones that are there already."""
    if not isinstance(given, Mapping):
        raise MisfitError(field="metadata", rule="type")
    for key, value in given.items():
        rule = metadata_rule(key, value)
        if rule is not None:
            raise MisfitError(field="metadata", rule=rule)
    if present + len(given) > MAX_KEYS:
        raise MisfitError(field="metadata", rule="too_many_keys")
