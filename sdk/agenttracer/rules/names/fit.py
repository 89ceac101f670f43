"""The way of a text to a name, the same for SDK and gateway: it has the form, it can be given it, or it is replaced.

What passed is remembered, since agents use the same few names over and over. What did not might be content: it is not.
"""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from agenttracer.rules.names.detectors import TEXT_MAX_CHARS, hit, hit_number, is_random_id
from agenttracer.wire import form
from agenttracer.wire.metadata import metadata_rule
from agenttracer.wire.vocabulary import INVALID_NAME, REDACTED_NAME, RESERVED_NAMES

if TYPE_CHECKING:
    from agenttracer.rules.names.pseudonyms import Pseudonyms

WORDS_MAX: Final = 4
REDACTED_CODE: Final = "redacted"
"""Replaces a failure code that is hit: codes have a form of their own, in which the placeholder of names does not fit."""
RULE_PREFIX: Final = "redacted_"
"""Before the detector's name: the rule under which a hit is counted."""
LABELS_MAX: Final = 16
"""Labels of one event, besides those under `REGISTERED_KEYS`."""
REGISTERED_KEYS: Final = frozenset(
    {
        *("model", "provider", "finish_reason", "tool_type", "workflow", "prompt_name", "prompt_version", "agent_id"),
        *("guardrail", "evaluation_name", "environment", "region"),
    }
)
_PERSONS_WORDS: Final = {
    **dict.fromkeys(("phone", "telephone", "mobile", "msisdn", "fax", "whatsapp"), "phone"),
    "ssn": "national_id",
    "iban": "iban",
}
PERSONS_NUMBER_MIN: Final = 10**6
"""Seven digits: no number of a person has less. Without such a word in its key a number of less than twelve is a measurement."""
_MODEL_VERSION: Final = re.compile(r"([^@]+)@(latest|default|stable|[vr]?[0-9]{1,8}(?:[.-][0-9]{1,4}){0,3})")
_MEMORY: Final = 16_384
_T = TypeVar("_T")

_clean: Final[set[str]] = set()
_clean_versions: Final[set[str]] = set()
_entries: Final[set[tuple[str, str]]] = set()
_hits: Final[dict[int, str]] = {}


class Fitting(NamedTuple):
    """A name that may be kept, and the rule by which it is not the text: `name`, or `redacted_` and a detector."""

    name: str
    rule: str | None = None


def fit(text: str, *, version: bool = False, pseudonyms: "Pseudonyms | None" = None) -> Fitting:
    """The name that a text becomes. Placeholders pass as they are; what has no form of one has a pseudonym, if there are any."""
    if text in RESERVED_NAMES or is_clean(text, version=version):
        return Fitting(text)
    if len(text) > TEXT_MAX_CHARS:
        return Fitting(INVALID_NAME, "name")
    rule = content_rule(text, version=version)
    if rule is not None:
        return Fitting(REDACTED_NAME, rule)
    named = named_as(text)
    if named is None:
        return Fitting(unformed(text, pseudonyms), "name")
    return Fitting(named if is_clean(named, version=version) else INVALID_NAME, "name")


def unformed(text: str, pseudonyms: "Pseudonyms | None") -> str:
    """What stands for a text that no detector hits and that has no form of a name: another script, or too long."""
    if pseudonyms is None or len(text) > TEXT_MAX_CHARS or not any(map(str.isalnum, text)):
        return INVALID_NAME
    return pseudonyms.of(text)


def named_as(text: str) -> str | None:
    """The form of a name for up to four words of that form, and for a model with its version; None where it is none of these."""
    if (model := _MODEL_VERSION.fullmatch(text)) is not None:
        text = f"{model[1]}:{model[2]}"
    words = text.split()
    if not 1 <= len(words) <= WORDS_MAX or not all(map(_is_name, words)):
        return None
    name = "-".join(words)
    return name if _is_name(name) else None


def is_clean(text: str, *, version: bool = False) -> bool:
    """Whether a text has the form of a name, and no detector hits it."""
    seen = _clean_versions if version else _clean
    if text in seen:
        return True
    if not _is_name(text) or _hit(text, version=version) is not None:
        return False
    _remember(seen, text)
    return True


def is_clean_name(text: str) -> bool:
    """`is_clean`, and the placeholders of names pass too."""
    return text in _clean or is_clean(text) or text in RESERVED_NAMES


def is_clean_version(text: str) -> bool:
    """`is_clean_name` of a version."""
    return text in _clean_versions or is_clean(text, version=True) or text in RESERVED_NAMES


def is_clean_id(text: str) -> bool:
    """`is_clean` of a producer's id, which may be random."""
    return text in _clean or (_is_name(text) and id_rule(text) is None)


def id_rule(text: str) -> str | None:
    """`content_rule` of a producer's id. What is random may look like anything, once in some thousands, and is none of it."""
    found = None if is_random_id(text) else _hit(text)
    return None if found in {None, "entropy"} else RULE_PREFIX + str(found)


def is_clean_code(text: str) -> bool:
    """Whether a text has the form of a failure code, and no detector hits it."""
    return form.is_code(text) and (text in _clean or is_clean(text))


def content_rule(text: str, *, version: bool = False) -> str | None:
    """The rule that a text breaks by what it is, whatever its form; None for none."""
    found = _hit(text, version=version)
    return None if found is None else RULE_PREFIX + found


def entry_rule(key: str, value: object) -> str | None:
    """The rule that an entry of metadata breaks: the contract's, or one of what may stand in keys, labels and numbers."""
    if value.__class__ is str and (key, value) in _entries:
        return None
    rule = metadata_rule(key, value)
    if rule is not None:
        return rule
    if not is_clean(key):
        return content_rule(key)
    if isinstance(value, str):
        return _label_rule(key, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = hit_number(value) or (person_in(key) if abs(value) >= PERSONS_NUMBER_MIN else None)
        return None if found is None else RULE_PREFIX + found
    return None


@lru_cache(maxsize=1_024)
def person_in(key: str) -> str | None:
    """The detector that a number under this key would be hit by as a text, if the key says that it is a person's."""
    return next((_PERSONS_WORDS[word] for word in re.split(r"[._]", key) if word in _PERSONS_WORDS), None)


def _label_rule(key: str, value: str) -> str | None:
    if form.names_content_inside(key):
        return "content_key"
    version = key.endswith("version")
    if not is_clean(value, version=version):
        return content_rule(value, version=version)
    _remember(_entries, (key, value))
    return None


def _hit(text: str, *, version: bool = False) -> str | None:
    """`hit`, looked for once in what agents repeat. Of what is hit a number is kept that differs from process to process."""
    number = hash((text, version))
    found = _hits.get(number)
    if found is None and (found := hit(text, version=version)) is not None:
        if len(_hits) >= _MEMORY:
            _hits.clear()
        _hits[number] = found
    return found


def _is_name(text: str) -> bool:
    return len(text) <= form.NAME_MAX_CHARS and form.is_name(text)


def _remember(seen: set[_T], passed: _T) -> None:
    if len(seen) >= _MEMORY:
        seen.clear()
    seen.add(passed)
