"""Makes values fit the wire contract: a value that does not is left out or replaced, and counted by the contract's rule.

The agent's threads let through what has the contract's form (`Sanitizer.waiting_…`), cheaply; what is no name, whatever its
form, is found when the sender's thread builds the events. With `strict=True` the agent's thread first calls the `require_…`
functions, which look for all of it and raise.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from importlib import import_module
from time import sleep
from typing import TYPE_CHECKING, Any, Final, TypeVar

from agenttracer import _warn
from agenttracer._events.traceparent import Origin, parsed
from agenttracer._lazy_imports import IMPORT_LOCK
from agenttracer.errors import MisfitError
from agenttracer.wire import form
from agenttracer.wire.metadata import MAX_KEYS, MetadataValue, metadata_rule
from agenttracer.wire.vocabulary import INVALID_NAME, EndReason, FailureType, RunEnd, StepKind

if TYPE_CHECKING:
    from agenttracer.rules.names.pseudonyms import Pseudonyms
    from agenttracer.wire.events import Evidence, ReturnedError

CODE_PLACEHOLDER: Final = "unspecified"
"""Replaces a failure code that does not fit even in lower case with `_` for `-` (`Rate-Limit` becomes `rate_limit`)."""

_HIT: Final = "redacted_"
"""How the rules of the detectors begin (`rules.names.fit.RULE_PREFIX`)."""
_WORDS_FOR: Final = {
    "StepKind": "the kind of a step",
    "FailureType": "the type of a failure",
    "RunEnd": "the status of a run",
    "EndReason": "the reason of a run's end",
}
"""A vocabulary, as the agent's developer knows it."""

_StrEnumT = TypeVar("_StrEnumT", bound=StrEnum)


def is_fitting_name(value: object) -> bool:
    """Whether `value` is a name as the contract wants it."""
    return isinstance(value, str) and len(value) <= form.NAME_MAX_CHARS and form.is_name(value)


def _plain(value: object) -> str | None:
    """The text of a str, past any override of a subclass; None for every other type."""
    return str.__str__(value) if issubclass(type(value), str) else None


@cache
def _names() -> Any:  # noqa: ANN401 - a module
    """The rules of names. Compiling their patterns takes milliseconds: agents' threads leave them to the sender's."""
    with IMPORT_LOCK:
        from agenttracer.rules.names import fit  # noqa: PLC0415 - see above
    return fit


def load_rules() -> None:
    """Load the rules of names and errors, piece by piece, between which other threads run. The sender's thread begins so."""
    for module in ("errors.patterns", "error_reader", "names.numbers", "names.texts", "names.fit"):
        with IMPORT_LOCK:
            import_module(f"agenttracer.rules.{module}")
        sleep(0)


def _pseudonyms(name_key: bytes) -> "Pseudonyms":
    from agenttracer.rules.names.pseudonyms import Pseudonyms  # noqa: PLC0415 - loads hashes, which few programs need

    return Pseudonyms(name_key)


class Sanitizer:
    """Replaces or leaves out values that do not fit. It calls `note` with the broken rule each time.

    With the project's `name_key`, names without the form of one become pseudonyms.
    """

    def __init__(self, note: Callable[[str], None], *, name_key: bytes | None = None) -> None:
        self._note = note
        self._pseudonyms = None if name_key is None else _pseudonyms(name_key)
        self.redacted = 0
        """How many values a detector of names hit so far."""

    def waiting_name(self, value: object, *, field: str) -> str:
        """A name as it may wait in the queue until `name` judges it: a short text, and no object of the agent's."""
        text = _plain(value)
        return text if text is not None and len(text) <= form.NAME_MAX_CHARS else self.name(value, field=field)

    def name(self, value: object, *, field: str) -> str:
        """A name that fits: `value`, or with `-` for its spaces, or a pseudonym, or a placeholder of the contract."""
        text = _plain(value)
        if text is None:
            self._misfit("name", f"{field} does not have the form of a name; it is sent as {INVALID_NAME}")
            return INVALID_NAME
        names, version = _names(), field.endswith("version")
        if not version and names.is_clean(text):
            return text  # the usual case
        fitting = names.fit(text, version=version, pseudonyms=self._pseudonyms)
        if fitting.rule == "name":
            instead = INVALID_NAME if self._pseudonyms is None else "a pseudonym"
            self._misfit("name", f"{field} does not have the form of a name; it is sent with '-' for spaces or as {instead}")
        elif fitting.rule is not None:
            self._hit(fitting.rule, f"{field} holds what is no name (rule {fitting.rule}); it is sent as {fitting.name}")
        return str(fitting.name)

    def waiting_code(self, value: object) -> str:
        """A failure code as it may wait for `code`: `value`, or in lower case with `_` for `-`, or `unspecified`."""
        text = _plain(value)
        if text is not None and len(text) <= form.NAME_MAX_CHARS:
            if form.is_code(text):
                return text
            self._misfit("code", "failure_code does not have the form of a code; it is sent in lower case with '_'")
            lowered = text.lower().replace("-", "_")
            return lowered if form.is_code(lowered) else CODE_PLACEHOLDER
        self._misfit("code", f"failure_code does not have the form of a code; it is sent as {CODE_PLACEHOLDER}")
        return CODE_PLACEHOLDER

    def code(self, waiting: str) -> str:
        """A code of the form of codes, or `redacted` for what is none."""
        if _names().is_clean_code(waiting):
            return waiting
        self._hit(_names().content_rule(waiting), "failure_code holds what is no code; it is sent as redacted")
        return str(_names().REDACTED_CODE)

    def returned_error(self, error: "ReturnedError | None") -> "ReturnedError | None":
        """The same without a code or class that is none."""
        if error is None:
            return None
        code = None if error.code is None else self.code(error.code)
        error_class = None if error.error_class is None else self._clean(error.error_class)
        if (code, error_class) == (error.code, error.error_class):
            return error
        from dataclasses import replace  # noqa: PLC0415 - loaded with the contract's events, not with this module

        return replace(error, code=code, error_class=error_class)

    def kind(self, value: object) -> StepKind:
        """A step kind of the vocabulary; `other` for any other value."""
        return self._member(StepKind, value, fallback=StepKind.OTHER)

    def failure_type(self, value: object) -> FailureType:
        """A failure type of the vocabulary; `orchestration` for any other value."""
        return self._member(FailureType, value, fallback=FailureType.ORCHESTRATION)

    def run_end(self, value: object) -> RunEnd | None:
        """A run end of the vocabulary; None, counted, for any other value."""
        text = _plain(value)
        for member in RunEnd:
            if member == text:
                return member
        self._unknown(RunEnd, "it is left out")
        return None

    def end_reason(self, value: object) -> EndReason | None:
        """A reason of the vocabulary; None, counted, for any other value."""
        text = _plain(value)
        for member in EndReason:
            if member == text:
                return member
        self._unknown(EndReason, "it is left out")
        return None

    def waiting_metadata(self, given: Mapping[str, MetadataValue]) -> dict[str, MetadataValue]:
        """The entries that may wait for `metadata`: those that have the contract's form. At most `MAX_KEYS` of them."""
        kept: dict[str, MetadataValue] = {}
        if not isinstance(given, Mapping):
            self.left_out("type")
            return kept
        for key, value in given.items():
            rule = metadata_rule(key, value) if len(kept) < MAX_KEYS else "too_many_keys"
            if rule is None:
                kept[key] = value
            else:
                self.left_out(rule)
        return kept

    def metadata(self, given: Mapping[str, object] | None) -> dict[str, MetadataValue]:
        """The entries that fit. At most `MAX_KEYS` of them."""
        kept: dict[str, MetadataValue] = {}
        names, labels = _names(), 0
        for key, value in (given or {}).items():
            label = isinstance(value, str) and key not in names.REGISTERED_KEYS
            if len(kept) >= MAX_KEYS:
                rule = "too_many_keys"
            else:
                rule = "too_many_labels" if label and labels >= names.LABELS_MAX else names.entry_rule(key, value)
            if rule is None:
                kept[key] = value
                labels += label
            else:
                self.left_out(rule)
        return kept

    def evidence(self, evidence: "Evidence | None") -> "Evidence | None":
        """The same without names that a detector hits: a code that an exception carries may be anything."""
        if evidence is None:
            return None
        error_class = None if evidence.error_class is None else self._clean(evidence.error_class)
        error_code = None if evidence.error_code is None else self._clean(evidence.error_code)
        if (error_class, error_code) == (evidence.error_class, evidence.error_code):
            return evidence
        from dataclasses import replace  # noqa: PLC0415 - loaded with the contract's events, not with this module

        return replace(evidence, error_class=error_class, error_code=error_code)

    def _clean(self, name: str) -> str | None:
        if _names().is_clean(name):
            return name
        self.left_out(_names().content_rule(name) or "name")
        return None

    def traceparent(self, header: object) -> Origin | None:
        """The origin that a `traceparent` header names. None when it is malformed: the run then starts without a parent."""
        origin = parsed(header)
        if origin is None:
            self._misfit("traceparent", "a traceparent header is malformed; its run starts without a parent")
        return origin

    def left_out(self, rule: str) -> None:
        """A metadata entry was left out."""
        self.redacted += rule.startswith(_HIT)
        self._misfit(rule, f"metadata was left out (rule {rule}); AgentTracer.stats().misfits counts how often")

    def _member(self, vocabulary: type[_StrEnumT], value: object, *, fallback: _StrEnumT) -> _StrEnumT:
        text = _plain(value)
        for member in vocabulary:
            if member == text:
                return member
        self._unknown(vocabulary, f"it is sent as {fallback}")
        return fallback

    def _unknown(self, vocabulary: type[StrEnum], instead: str) -> None:
        self._note("unknown_value")
        what, words = _WORDS_FOR.get(vocabulary.__name__, vocabulary.__name__), ", ".join(vocabulary)
        _warn.once(f"unknown:{vocabulary.__name__}", f"{what} is none of {words}; {instead}")

    def _hit(self, rule: str, text: str) -> None:
        self.redacted += 1
        self._misfit(rule, text)

    def _misfit(self, rule: str, text: str) -> None:
        self._note(rule)
        _warn.once(f"misfit:{rule}", text)


def require_name(value: object, *, field: str) -> None:
    """Raise MisfitError unless `value` is a name."""
    if not is_fitting_name(value):
        raise MisfitError(field=field, rule="name")
    rule = _names().content_rule(value, version=field.endswith("version"))
    if rule is not None:
        raise MisfitError(field=field, rule=rule)


def require_code(value: object, *, field: str) -> None:
    """Raise MisfitError unless `value` is a failure code."""
    if not isinstance(value, str) or len(value) > form.NAME_MAX_CHARS or not form.is_code(value):
        raise MisfitError(field=field, rule="code")


def require_member(vocabulary: type[StrEnum], value: object, *, field: str) -> None:
    """Raise MisfitError unless `value` is in `vocabulary`."""
    if value not in set(vocabulary):
        raise MisfitError(field=field, rule="unknown_value", allowed=tuple(vocabulary))


def require_traceparent(header: object) -> None:
    """Raise MisfitError unless `header` is a well-formed `traceparent`, or None."""
    if header is not None and parsed(header) is None:
        raise MisfitError(field="traceparent", rule="traceparent")


def require_metadata(given: object, *, present: int = 0) -> None:
    """Raise MisfitError unless every entry fits, beside the `present` ones that are there already."""
    if not isinstance(given, Mapping):
        raise MisfitError(field="metadata", rule="type")
    for key, value in given.items():
        rule = _names().entry_rule(key, value)
        if rule is not None:
            raise MisfitError(field="metadata", rule=rule)
    if present + len(given) > MAX_KEYS:
        raise MisfitError(field="metadata", rule="too_many_keys")
