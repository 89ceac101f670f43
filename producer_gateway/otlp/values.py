"""How the value of an attribute is read: what of it may be stored, or None where it does not fit.

The docstrings stand in the docs.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Final, cast

from agenttracer.rules.error_classes import error_class
from agenttracer.rules.finish_reasons import finish_reason
from agenttracer.rules.names.fit import content_rule
from agenttracer.rules.span_kinds import COMPONENTS, SPAN_TYPES, KnownKind
from agenttracer.rules.span_names import kept_name, route_path
from agenttracer.wire import form
from agenttracer.wire.events import COUNT_MAX, INT64_MAX, NANO_MAX
from agenttracer.wire.vocabulary import INVALID_NAME, REDACTED_NAME
from producer_gateway.events.misfit import Misfit

OTHER_ERROR: Final = "_OTHER"
"""OpenTelemetry's own word for an error that has no better one: it says nothing, and nothing is lost with it."""
_DIGITS_MAX: Final = 18
_EXACT_MAX: Final = 2.0**53

Read = Callable[[object], object]
"""The value as it may be stored, or None where it does not fit: then it is left out and counted."""


def label(value: object) -> str | None:
    """A string of the form of names, as it is."""
    return value if isinstance(value, str) and form.is_name(value) else None


def worded(value: object) -> str | None:
    """A string of the form of names, or up to four such words, with hyphens for blanks."""
    return (label(value) or kept_name(value)) if isinstance(value, str) else None


def version(value: object) -> str | None:
    """A version: a string of the form of names, or a whole number."""
    return str(value) if type(value) is int and 0 <= value <= COUNT_MAX else label(value)


def model(value: object) -> str | None:
    """A model's name; providers put `@` before a version."""
    if not isinstance(value, str) or len(value) > form.NAME_MAX_CHARS:
        return None
    return label(value.replace("@", ":") if "@" in value else value)


def count(value: object) -> int | None:
    """A whole number from 0, also as a double or in digits."""
    if type(value) is float:
        value = int(value) if value.is_integer() and abs(value) < _EXACT_MAX else None
    elif isinstance(value, str):
        value = int(value) if len(value) <= _DIGITS_MAX and value.isascii() and value.isdigit() else None
    return value if type(value) is int and 0 <= value <= INT64_MAX else None


def amount(value: object) -> int | None:
    """How many were found; as large as the contract's counts."""
    found = count(value)
    return found if found is not None and found <= COUNT_MAX else None


def number(value: object) -> float | None:
    """A finite number."""
    if type(value) is int:
        return count(value)
    return value if type(value) is float and math.isfinite(value) else None


def milliseconds(value: object) -> float | None:
    """Milliseconds, as seconds."""
    found = number(value)
    return None if found is None else found / 1_000


def flag(value: object) -> bool | None:
    """True or false."""
    return value if type(value) is bool else None


def status(value: object) -> int | None:
    """An HTTP status, as a number or in digits."""
    found = count(value)
    return found if found is not None and 100 <= found <= 599 else None  # noqa: PLR2004 - the contract's HttpStatus


def reason(value: object) -> str | None:
    """The first, in order of the alphabet, of one or several reasons: lower case, `_`, no prefix of an enumeration."""
    return finish_reason(value)


def word_of(words: Mapping[str, KnownKind]) -> Read:
    """A word of one of the closed tables of kinds."""

    def kind_word(value: object) -> str | None:
        """A word of the kinds below; never stored as it is."""
        return value if isinstance(value, str) and value in words else None

    return kind_word


def span_type(value: object) -> str | None:
    """A word of the kinds below, in upper or lower case, quoted or not; never stored as it is."""
    plain = value.strip('"').lower() if isinstance(value, str) and len(value) <= form.NAME_MAX_CHARS else ""
    return plain if plain in SPAN_TYPES else None


def component(value: object) -> str | None:
    """The end of the name of a component's class, as the kinds below have it; never stored as it is."""
    if not isinstance(value, str):
        return None
    return next((end for end in COMPONENTS if value.endswith(end)), "component")


def error_type(value: object) -> str | None:
    """An error's class, code or status, of the form of names; `_OTHER` says nothing."""
    return OTHER_ERROR if value == OTHER_ERROR else error_class(value)


def tool_name(value: object) -> str:
    """A tool's name as it is, with hyphens for blanks. A misfit becomes a pseudonym or the contract's placeholder."""
    return worded(value) or misfit(value)


def hyphened(value: object) -> str:
    """An agent's or service's name or version, with hyphens for blanks. A misfit becomes a pseudonym or a placeholder."""
    return worded(value) or misfit(value)


def misfit(value: object) -> str:
    """What stands for a required name without the form of one, until the lock on names knows its project."""
    if not isinstance(value, str):
        return INVALID_NAME
    return REDACTED_NAME if content_rule(value) is not None else Misfit(value)


def route(value: object) -> str | None:
    """A route's template, with `:id` for any form of parameter."""
    return route_path(value)


def identifier(value: object) -> str | None:
    """A string or number of which a keyed digest is kept, comparable within the project; never as it is."""
    text = str(value) if type(value) is int else value
    return text if isinstance(text, str) and 0 < len(text) <= _IDENTIFIER_MAX else None


def arguments(value: object) -> object:
    """Of a tool's step, hashed with a key into a digest that is comparable within the run; never kept as it is."""
    return value


def result(value: object) -> object:
    """Of a tool's step, looked at for an error that the tool returned: its code is kept, nothing of the text."""
    return value


def answer(value: object) -> object:
    """Of a model's call that ended with no telling reason, looked at for calls of tools; nothing of the text is kept."""
    return value


def called(value: object) -> bool | None:
    """There is one if the model's answer calls tools; nothing of it is kept."""
    return True if isinstance(value, str) and value else None


def flagged(value: object) -> bool | None:
    """True, or a word for an error: the tool returned one."""
    if isinstance(value, str):
        return value.lower() in _ERROR_WORDS
    return flag(value)


def nano(value: object) -> int | None:
    """An amount of money from 0, also in digits, as billionths."""
    try:
        amount = float(value) if isinstance(value, str) and len(value) <= _AMOUNT_CHARS_MAX else value
    except ValueError:
        return None
    if type(amount) not in {int, float} or not math.isfinite(found := cast("float", amount)) or not 0 <= found < NANO_MAX / 1e9:
        return None
    return round(found * 1e9)


def currency(value: object) -> str | None:
    """Three capital letters."""
    return value if isinstance(value, str) and _CURRENCY.fullmatch(value) else None


_CURRENCY: Final = re.compile("[A-Z]{3}")
_ERROR_WORDS: Final = frozenset({"error", "failed", "failure", "true"})
_IDENTIFIER_MAX: Final = 1_024
_AMOUNT_CHARS_MAX: Final = 32


def resends(value: object) -> int | None:
    """How often a request was sent again before this one."""
    found = count(value)
    return found if found is not None and found < 10_000 else None  # noqa: PLR2004 - the contract's Attempt
