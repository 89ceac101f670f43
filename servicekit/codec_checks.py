"""Checks of strings, which msgspec could make only by calling back for every occurrence: made of the contract's annotations.

There are two ways to look at them: by their form, as a record's are looked at, and cleanly besides, as the second lock on names
has it (`agenttracer.rules.names`). Both look once at each distinct string that an agent keeps repeating.
"""

import dataclasses
import types
import typing
from collections.abc import Callable
from typing import Any, Final, cast

from agenttracer.rules.names import fit as names
from agenttracer.rules.names.detectors import hit_number
from agenttracer.wire import events as wire
from agenttracer.wire import form

Check = Callable[[Any], bool]
_NOTHING: Final[Check] = lambda _: True  # noqa: E731 - compared by identity, to be left out
"""Of what needs no look."""


class Looks(typing.NamedTuple):
    """How to look at strings: `of_form` gives the check of a member by its name, `metadata` looks at all of it."""

    of_form: Callable[[str, wire.Form], Check]
    metadata: Check


def without_none(hint: Any) -> Any:  # noqa: ANN401 - annotations have no narrower type
    """What an optional member is where it is present."""
    return next(member for member in typing.get_args(hint) if member is not type(None))


def _checks(target: Any, looks: Looks) -> tuple[tuple[str, bool, Check], ...]:  # noqa: ANN401 - a contract class
    """(field, whether it may be absent, check) of every string of bounded form."""
    hints = typing.get_type_hints(target, include_extras=True)
    found = []
    for f in dataclasses.fields(target):
        hint, absent = hints[f.name], False
        if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
            hint, absent = without_none(hint), True
        if hint in wire.NESTED:
            found.append((f.name, absent, compiled(hint, looks)))
        elif hint == wire.Metadata:
            found.append((f.name, False, looks.metadata))
        elif typing.get_origin(hint) is typing.Annotated and isinstance(hint.__metadata__[0], wire.Form):
            found.append((f.name, absent, looks.of_form(f.name, hint.__metadata__[0])))
    return tuple(found)


def compiled(target: Any, looks: Looks) -> Check:  # noqa: ANN401 - a contract class
    """One function that applies every check of a class but `run_id`'s: a loop over a table costs more than the checks do."""
    checks = [each for each in _checks(target, looks) if each[0] != "run_id" and each[2] is not _NOTHING]
    terms = [
        f"(e.{name} is None or c{i}(e.{name}))"
        if absent
        else f"(not e.{name} or c{i}(e.{name}))"
        if check is looks.metadata
        else f"c{i}(e.{name})"
        for i, (name, absent, check) in enumerate(checks)
    ]
    source = f"lambda e: {' and '.join(terms) or 'True'}"
    return cast("Check", eval(source, {f"c{i}": check for i, (_, _, check) in enumerate(checks)}))  # noqa: S307 - our own field names


def _metadata_fits(metadata: dict[str, object]) -> bool:
    # msgspec has checked int64 and finiteness; what is left are keys, labels and how many there are.
    for key, value in metadata.items():
        about = _known_keys.get(key) or _about(key)
        if about is _NO_KEY or (value.__class__ is str and (about is _CONTENT or not form.is_name(value))):
            return False
    return len(metadata) <= wire.METADATA_MAX_KEYS


def _metadata_is_clean(metadata: dict[str, object]) -> bool:
    labels = 0
    for key, value in metadata.items():
        about = _clean_keys.get(key) or _about_clean(key)
        if value.__class__ is str:
            if about is _ANY or about is _REGISTERED:
                fits = names.is_clean(value)
            else:
                fits = about is _VERSION and names.is_clean_version(value)
            labels += about is not _REGISTERED
        else:
            fits = about is not _NO_KEY and about is not _PERSONS and (-_SMALL < value < _SMALL or hit_number(value) is None)  # type: ignore[operator,arg-type]  # a number
        if not fits:
            return False
    return len(metadata) <= wire.METADATA_MAX_KEYS and labels <= names.LABELS_MAX


_SMALL: Final = 10**11
"""No number of less digits is looked at."""
_NO_KEY: Final = "no key"
_CONTENT: Final = "takes no labels"
_ANY: Final = "takes all"
_VERSION: Final = "takes versions"
_REGISTERED: Final = "takes all, and is not counted"
_PERSONS: Final = "its numbers are looked at one by one"
_KNOWN_KEYS_MAX: Final = 4_096
_known_keys: Final[dict[str, str]] = {}
_clean_keys: Final[dict[str, str]] = {}


def _about(key: str) -> str:
    """The values that a key allows, cached where the key is well-formed: one look-up instead of two checks."""
    if not form.is_metadata_key(key):
        return _NO_KEY
    return _remembered(_known_keys, key, _CONTENT if form.names_content(key) else _ANY)


def _about_clean(key: str) -> str:
    """As `_about`, as the second lock on names has it."""
    if not form.is_metadata_key(key) or not names.is_clean(key):
        return _NO_KEY
    if form.names_content(key) or form.names_content_inside(key):
        about = _CONTENT
    elif key in names.REGISTERED_KEYS:
        about = _REGISTERED
    elif names.person_in(key) is not None:
        about = _PERSONS
    else:
        about = _VERSION if key.endswith("version") else _ANY
    return _remembered(_clean_keys, key, about)


def _remembered(known: dict[str, str], key: str, about: str) -> str:
    if len(known) >= _KNOWN_KEYS_MAX:
        known.clear()
    known[key] = about
    return about


def _clean_check(name: str, constraint: wire.Form) -> Check:
    if constraint.rule == "code":
        return names.is_clean_code
    if constraint.rule != "name":
        return constraint.check
    if name == "id":
        return names.is_clean_id
    if constraint.check is form.is_name:  # a placeholder stands for a required name alone
        return names.is_clean
    return names.is_clean_version if name.endswith("version") else names.is_clean_name


BY_FORM: Final = Looks(lambda _, constraint: constraint.check, _metadata_fits)
CLEANLY: Final = Looks(_clean_check, _metadata_is_clean)
NAMES_ALONE: Final = Looks(
    lambda name, constraint: _clean_check(name, constraint) if constraint.rule in {"name", "code"} else _NOTHING,
    _metadata_is_clean,
)
"""As `CLEANLY`, of events that have the contract's form already."""
