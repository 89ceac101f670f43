"""Bounded parts of a text, and patterns that are compiled when they are first needed."""

import re
from functools import cache
from typing import Final

HEAD_CHARS: Final = 1_200
"""Of a tool's result, from its beginning: what opens as an error says so there."""
TAIL_CHARS: Final = 1_200
"""Of a longer one, up to its end: where a traceback says what was raised."""
PROSE_MAX: Final = 600
"""A longer text that opens with a word such as `cannot` is an article, not an error."""
TRACEBACK: Final = "Traceback (most recent call last)"


@cache
def pattern(text: str) -> re.Pattern[str]:
    """Compiled at first use: most agents need few of them, and importing must stay cheap."""
    return re.compile(text)


def both_ends(text: str, chars: int) -> str:
    """The first and the last so many characters of a longer text."""
    return text if len(text) <= 2 * chars else f"{text[:chars]}\n{text[-chars:]}"


def flat(text: str) -> str:
    """In lower case, with single blanks."""
    return " ".join(text.lower().replace("\u2019", "'").split())
