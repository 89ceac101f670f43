"""Writes `docs/data-dictionary.md`: every field that can be stored, its type, why it is safe to keep, and where it lies.

`python -m docs.generate.data_dictionary`. A test says when the page is out of date, another that no field is without a reason.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from agenttracer.rules.names import fit as names
from agenttracer.wire import form
from agenttracer.wire.envelope import Producer, Record
from agenttracer.wire.events import EVENT_KINDS, METADATA_MAX_KEYS, NESTED, Event, Form, Metadata, Range
from agenttracer.wire.vocabulary import CONTENT_WORDS, MEASURING_ENDINGS
from docs.generate import stored_text
from docs.generate.otlp_page import read_as
from producer_gateway.otlp import values
from producer_gateway.otlp.mapping import MAPPING_VERSION, TABLE
from producer_gateway.otlp.values import Read

PAGE: Final = Path(__file__).parents[2] / "docs" / "data-dictionary.md"
_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "name": (
        f"`{form.NAME_PATTERN}`",
        "one word of a developer's choice, at most 64 characters: no blanks, no `@`, no sentence fits",
    ),
    "code": (f"`{form.CODE_PATTERN}`", "one word in lower case"),
    "run_id": ("UUID", "an id, random or made of ids"),
    "step_id": ("16 hex digits", "an id, random or made of ids"),
    "fingerprint": ("32 hex digits", "128 bits of an HMAC under the user's own key; absent without one"),
    "work_digest": ("16 hex digits", "a hash under a key of the run that is kept nowhere; comparable within the run only"),
    "session_digest": (
        "32 hex digits",
        "128 bits of an HMAC under the user's or the gateway's key; the id itself is kept nowhere",
    ),
    "currency": (f"`{form.CURRENCY_PATTERN}`", "three letters of ISO 4217"),
}
_MEASURES: Final = "a measurement; no text"
_CLOSED: Final = "a closed set of our own words"
_NESTED: Final = "nothing but what its own table below allows"
_VERSION: Final = "digits and a dot"
_OF_SPANS: Final[Mapping[Read, str]] = {
    **dict.fromkeys((values.label, values.worded, values.version, values.model, values.reason), _FORMS["name"][1]),
    **dict.fromkeys((values.count, values.number, values.milliseconds, values.amount, values.status), _MEASURES),
    values.flag: "true or false",
}
"""By how a row of the mapping reads: why what passes is safe. A new way needs a reason."""
_HEAD: Final = """# Data dictionary

Everything that AgentTracer can store about an agent. SDK, gateway and workers each rebuild what they pass on from this list, so
what does not stand here cannot arrive. `make data-dictionary` writes this page from the wire contract. Times and durations
are microseconds; every range holds both its ends.
"""


def page() -> str:
    """The whole page."""
    targets = (Record, Producer, *EVENT_KINDS, *NESTED)
    return "\n".join([_HEAD, *(_section(target) for target in targets), _metadata(), _otlp(), stored_text.section()])


def _section(target: type) -> str:
    tag = getattr(target, "type", None)
    about = (target.__doc__ or "").partition("\n")[0]
    title = f"## {target.__name__}" + (f" (`{tag}`)" if tag else "")
    return "\n".join([f"{title}\n", f"{about}\n", "| field | type | | why it is safe |", "|---|---|---|---|", *_rows(target), ""])


def _rows(target: type) -> Iterator[str]:
    hints = typing.get_type_hints(target, include_extras=True)
    for each in dataclasses.fields(target):
        kind, reason = described(hints[each.name])
        needed = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
        yield f"| `{each.name}` | {kind} | {'required' if needed else 'optional'} | {reason} |"


def described(hint: Any) -> tuple[str, str]:  # noqa: ANN401, PLR0911 - annotations have no narrower type; one line each
    """The type in words, and why a field of it is safe. Raises LookupError for a type without an entry."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return described(next(member for member in typing.get_args(hint) if member is not type(None)))
    if hint == Metadata:
        return "metadata", "see [Metadata](#metadata)"
    if typing.get_origin(hint) is typing.Annotated:
        return _constrained(hint.__metadata__[0])
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return ", ".join(f"`{member}`" for member in hint), _CLOSED
    if hint in NESTED or hint is Producer:
        return f"[{hint.__name__}](#{hint.__name__.lower()})", _NESTED
    if typing.get_args(hint) == (Event,):
        return "the events of one run", _NESTED
    if hint is str:
        return f"`{form.VERSION_PATTERN}`".replace("|", "\\|"), _VERSION
    raise LookupError(hint)


def _constrained(constraint: Form | Range) -> tuple[str, str]:
    if isinstance(constraint, Form):
        return _FORMS[constraint.rule]
    return f"integer, {constraint.low} to {constraint.high}", _MEASURES


def _metadata() -> str:
    words, endings, registered = (
        ", ".join(f"`{word}`" for word in each)
        for each in (sorted(CONTENT_WORDS), MEASURING_ENDINGS, sorted(names.REGISTERED_KEYS))
    )
    return f"""## Metadata

At most {METADATA_MAX_KEYS} entries. A key is `{form.METADATA_KEY_PATTERN}`, chosen by a developer in the source.
A value is a boolean, a 64-bit integer, a finite number, or a label of the form `{form.NAME_PATTERN}`.
Of labels there are {names.LABELS_MAX}, those under {registered} aside.
Under a key of which a word names content only numbers and booleans are let in, unless its segment ends in {endings}:
{words}.

Names, labels, codes and long numbers are looked at by the [detectors](privacy.md#what-is-enforced) before they are let in.
"""


def _otlp() -> str:
    rows = [f"| `{target}` | {read_as(read)} | {_OF_SPANS[read]} |" for target, read, _ in TABLE if target[0] != "@"]
    head = f"""## Metadata of spans

What OTLP spans leave in metadata, by version {MAPPING_VERSION} of [the mapping](otlp-mapping.md). An attribute has no other way
there.

| key | read as | why it is safe |
|---|---|---|"""
    return "\n".join([head, *rows, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
