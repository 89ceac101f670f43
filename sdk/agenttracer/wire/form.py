"""The forms of bounded identifiers: what a string must look like to be allowed on the wire. No free text passes here.

Each check remembers strings that passed, since an agent says the same few names over and over; the memory is bounded.
"""

import re
from functools import lru_cache
from typing import Final

from agenttracer.wire.vocabulary import CONTENT_WORDS, INVALID_NAME

NAME_MAX_CHARS: Final = 64
NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9_.:/+-]{0,63}"
CODE_PATTERN: Final = r"[a-z][a-z0-9_]{0,63}"
METADATA_KEY_PATTERN: Final = r"[a-z][a-z0-9_.]{0,63}"
RUN_ID_PATTERN: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
STEP_ID_PATTERN: Final = r"[0-9a-f]{16}"
FINGERPRINT_PATTERN: Final = r"[0-9a-f]{32}"
VERSION_PATTERN: Final = r"(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})"

_NAME = re.compile(NAME_PATTERN)
_CODE = re.compile(CODE_PATTERN)
_METADATA_KEY = re.compile(METADATA_KEY_PATTERN)
_RUN_ID = re.compile(RUN_ID_PATTERN)
_HEX_DIGITS = "0123456789abcdef"
_FINGERPRINT = re.compile(FINGERPRINT_PATTERN)


@lru_cache(maxsize=16_384)
def is_name(value: str) -> bool:
    """Whether `value` may name an agent, version, step, model, tool, or be a label in metadata."""
    return _NAME.fullmatch(value) is not None


def is_required_name(value: str) -> bool:
    """Like `is_name`, and the placeholder of a name that did not fit passes too."""
    return value == INVALID_NAME or is_name(value)


@lru_cache(maxsize=4_096)
def is_code(value: str) -> bool:
    """Whether `value` may be a failure code."""
    return _CODE.fullmatch(value) is not None


@lru_cache(maxsize=4_096)
def is_metadata_key(value: str) -> bool:
    """Whether `value` may be a key of metadata."""
    return _METADATA_KEY.fullmatch(value) is not None


@lru_cache(maxsize=4_096)
def names_content(key: str) -> bool:
    """Whether a whole dotted segment of `key` names content (`input` does, `input_tokens` does not)."""
    return not CONTENT_WORDS.isdisjoint(key.split("."))


@lru_cache(maxsize=4_096)
def is_run_id(value: str) -> bool:
    """Whether `value` is a UUID in its canonical lower-case form."""
    return _RUN_ID.fullmatch(value) is not None


def is_step_id(value: str) -> bool:
    """Whether `value` is 64 bits as 16 lower-case hex digits."""
    return len(value) == 16 and not value.strip(_HEX_DIGITS)  # noqa: PLR2004 - STEP_ID_PATTERN, at a third of its cost


def is_fingerprint(value: str) -> bool:
    """Whether `value` is 128 bits of an HMAC as 32 lower-case hex digits."""
    return _FINGERPRINT.fullmatch(value) is not None
