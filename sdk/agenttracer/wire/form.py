"""The forms of bounded identifiers: a string must have one of them to be allowed on the wire. No free text passes here.

Each check caches strings that passed, since an agent uses the same few names over and over; the cache is bounded.
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Final

from agenttracer.wire.vocabulary import CONTENT_WORDS, INVALID_NAME, MEASURING_ENDINGS, RESERVED_NAMES

NAME_MAX_CHARS: Final = 64
PSEUDONYM_PATTERN: Final = r"~[0-9a-f]{10}"
NAME_PATTERN: Final = rf"(?:[A-Za-z0-9][A-Za-z0-9_.:/+-]{{0,63}}|{PSEUDONYM_PATTERN})"
CURRENCY_PATTERN: Final = r"[A-Z]{3}"
CODE_PATTERN: Final = r"[a-z][a-z0-9_]{0,63}"
METADATA_KEY_PATTERN: Final = r"[a-z][a-z0-9_.]{0,63}"
RUN_ID_PATTERN: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
STEP_ID_PATTERN: Final = r"[0-9a-f]{16}"
FINGERPRINT_PATTERN: Final = r"[0-9a-f]{32}"
VERSION_PATTERN: Final = r"(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})"

_HEX_DIGITS: Final = "0123456789abcdef"


def _remembering(pattern: str, *, memory: int) -> Callable[[str], bool]:
    """A check that caches up to `memory` strings that passed, and none that failed: that might be content."""
    passed: set[str] = set()
    compiled = cache(lambda: re.compile(pattern))  # at first use: most programs need few of them, and compiling is slow

    def check(value: str) -> bool:
        if value in passed:
            return True
        if compiled().fullmatch(value) is None:
            return False
        if len(passed) >= memory:
            passed.clear()
        passed.add(value)
        return True

    return check


is_name: Final = _remembering(NAME_PATTERN, memory=16_384)
"""Whether a string may name an agent, version, step, model, tool, or be a label in metadata. A pseudonym may."""

is_code: Final = _remembering(CODE_PATTERN, memory=4_096)
"""Whether a string may be a failure code."""

is_metadata_key: Final = _remembering(METADATA_KEY_PATTERN, memory=4_096)
"""Whether a string may be a key of metadata."""

is_run_id: Final = _remembering(RUN_ID_PATTERN, memory=4_096)
"""Whether a string is a UUID in its canonical lower-case form."""

is_fingerprint: Final = _remembering(FINGERPRINT_PATTERN, memory=1_024)
"""Whether a string is 128 bits of an HMAC as 32 lower-case hex digits."""

is_currency: Final = _remembering(CURRENCY_PATTERN, memory=256)
"""Whether a string has the form of an ISO 4217 code."""


def is_required_name(value: str) -> bool:
    """Like `is_name`, and the placeholders of names that did not fit pass too."""
    return is_name(value) or value in RESERVED_NAMES


def fitting_name(value: str) -> str:
    """A name out of one that does not fit: `-` for its spaces, or the placeholder."""
    hyphened = "-".join(value.split()) if len(value) <= 4 * NAME_MAX_CHARS else ""
    return hyphened if is_name(hyphened) else INVALID_NAME


def is_step_id(value: str) -> bool:
    """Whether `value` is 64 bits as 16 lower-case hex digits."""
    return len(value) == 16 and not value.strip(_HEX_DIGITS)  # noqa: PLR2004 - STEP_ID_PATTERN, at a third of its cost


@lru_cache(maxsize=4_096)
def names_content(key: str) -> bool:
    """Whether a whole dotted segment of a metadata key names content (`input` does, `input_tokens` does not)."""
    return not CONTENT_WORDS.isdisjoint(key.split("."))


@lru_cache(maxsize=4_096)
def names_content_inside(key: str) -> bool:
    """Whether a word inside a segment names content (`system_prompt` does), unless the segment ends in a measurement."""
    return any(
        not segment.endswith(MEASURING_ENDINGS) and not CONTENT_WORDS.isdisjoint(segment.split("_")) for segment in key.split(".")
    )
