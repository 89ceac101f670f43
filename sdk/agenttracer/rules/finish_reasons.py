"""Why a model ended, in one form, whoever says it: lower case, `_` between words, no prefix of an enumeration."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from agenttracer.wire import form

_PREFIXES: Final = ("finish_reason_", "finishreason_", "stop_reason_", "stopreason_", "reason_")
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_CHARS_MAX: Final = 256
_LISTED_MAX: Final = 16


def finish_reason(value: object) -> str | None:
    """The first, in order of the alphabet, of one or several reasons; None where there is none that has the form."""
    return min(_reasons(value), default=None)


def _reasons(value: object) -> Iterable[str]:
    for each in value if isinstance(value, tuple | list) else (value,):
        if isinstance(each, str) and len(each) <= _CHARS_MAX:
            yield from filter(None, map(_plain, _listed(each)))


def _listed(text: str) -> Sequence[str]:
    """The items of a list that was written into a string."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        return text[1:-1].split(",")[:_LISTED_MAX]
    return (text,)


def _plain(text: str) -> str | None:
    """One reason: `FinishReason.MAX_TOKENS`, `<StopReason.end_turn: 1>`, `tool-calls`, `endTurn`. No sentence becomes one."""
    text = text.strip(" \t\"'")
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1].partition(":")[0]
    text = text.rpartition(".")[2]
    if not text.isupper():
        text = _CAMEL.sub("_", text)
    text = text.lower().replace("-", "_")
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    return text if form.is_code(text) else None
