"""The detectors: a closed, versioned list of what must not pass for a name. `docs/privacy.md` has examples.

`hit` looks at a text as it stands and as what it may be an encoding of: percent, HTML's numbers, base64 and base32, hexadecimal,
full-width forms.
"""

import base64
import binascii
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from agenttracer.rules.names import numbers, texts

VERSION: Final = 2
"""Of the list. A change of what is hit is a new one."""
TEXT_MAX_CHARS: Final = 256
"""No longer text is looked at: it is no name anyway."""


class Detector(NamedTuple):
    """One kind of what is no name. `finds` looks at a text that `may_hold` did not rule out at once."""

    name: str
    finds: Callable[[str], bool]
    may_hold: Callable[[str], bool]
    in_versions: bool = True
    """Whether it looks at versions too: `1.2.3.4` is one."""


_SOME_DIGITS: Final = re.compile(r"(?:[^0-9]*[0-9]){7}")
_SEVERAL_GROUPS: Final = re.compile(r"(?:[^-_./:+ ]*[-_./:+ ]){3}")
_MAY_BE_PROSE: Final = re.compile(r"(?:[^-+\s]*[-+\s]){2}")
_MAY_BE_MAIL: Final = re.compile(r"@|at|gmail|mail|yahoo|icloud|proton|gmx|aol|web", re.IGNORECASE)


def _digits(text: str) -> bool:
    return _SOME_DIGITS.match(text) is not None


def _groups(text: str) -> bool:
    return _SEVERAL_GROUPS.match(text) is not None


def _always(_: str) -> bool:
    return True


DETECTORS: Final = (
    Detector("secret", texts.secret, _always),
    Detector("url", texts.url, _always),
    Detector("email", texts.email, lambda text: _MAY_BE_MAIL.search(text) is not None),
    Detector("iban", numbers.iban, _digits),
    Detector("card", numbers.card, _digits),
    Detector("national_id", numbers.national_id, _digits),
    Detector("phone", numbers.phone, _digits),
    Detector("ipv4", numbers.ipv4, _groups, in_versions=False),
    Detector("ipv6", numbers.ipv6, lambda text: ":" in text or _groups(text)),
    Detector("prose", texts.prose, lambda text: _MAY_BE_PROSE.match(text) is not None),
    Detector("entropy", texts.entropy, lambda text: len(text) >= 20),  # noqa: PLR2004 - as the detector says
)
"""In the order in which they look: the first that hits is counted."""


def hit(text: str, *, version: bool = False) -> str | None:
    """The name of the first detector that hits a text, or anything that it may be an encoding of. `version`: it is one."""
    if _UUID.fullmatch(text) is not None and is_random_id(text):
        return None
    for reading in readings(text[:TEXT_MAX_CHARS]):
        for detector in DETECTORS:
            if (detector.in_versions or not version) and detector.may_hold(reading) and detector.finds(reading):
                return detector.name
    return None


def is_random_id(text: str) -> bool:
    """Whether a text is a UUID or 128 bits in lower-case hexadecimal digits, after a word and a colon or not.

    Random digits hold a card's number or the like once in some thousands of ids. Letters must be among them: digits alone are
    hardly ever random.
    """
    found = _RANDOM_ID.fullmatch(text)
    return found is not None and sum(map(found[1].count, "abcdef")) >= _HEX_LETTERS_MIN


_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_RANDOM_ID: Final = re.compile(rf"(?:[a-z]{{1,16}}:)?({_UUID.pattern}|[0-9a-f]{{32}})")
_HEX_LETTERS_MIN: Final = 2


def hit_number(value: float) -> str | None:
    """The same of a number: of twelve digits and more, it may be a card's. Times and sizes are none."""
    if -_TWELVE_DIGITS < value < _TWELVE_DIGITS or value != value // 1:
        return None
    return "card" if numbers.card(str(abs(int(value)))) else None


_TWELVE_DIGITS: Final = 10**11
_ENCODED: Final = re.compile(r"[A-Za-z0-9+/_-]{12,}={0,2}")
_ENCODED_CHARS_MIN: Final = 12
_SPLIT: Final = re.compile(r"[-_.:/ ]")


def readings(text: str) -> Iterator[str]:
    """A text, and what it may be an encoding of."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    yield plain
    if (unescaped := _unescaped(plain)) != plain:
        plain = unescaped
        yield plain
    if len(plain) >= _ENCODED_CHARS_MIN and "  " not in plain:
        yield from _decoded(plain)


def _unescaped(text: str) -> str:
    if "%" not in text and "&#" not in text:
        return text
    unquoted = urllib.parse.unquote(urllib.parse.unquote(_NUMBERED.sub(_numbered, text)))
    return _NUMBERED.sub(_numbered, unquoted)


_NUMBERED: Final = re.compile(r"&#(?:([0-9]{1,3})|[xX]([0-9a-fA-F]{1,2}));")


def _numbered(found: re.Match[str]) -> str:
    return chr(int(found[1]) if found[1] else int(found[2], 16))


def _decoded(text: str) -> Iterator[str]:
    for part in {text, *_SPLIT.split(text)}:
        if _ENCODED.fullmatch(part) is None:
            continue
        for decode in (_from_hex, _from_base64, _from_base32):
            try:
                found = decode(part)
            except (ValueError, binascii.Error):
                continue
            if found.isascii() and (said := " ".join(found.decode().split())).isprintable():
                yield _unescaped(said)


def _from_hex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x").removeprefix("0X"))


def _from_base32(text: str) -> bytes:
    if not text.isupper():
        raise ValueError(text[:0])
    plain = text.rstrip("=")
    return base64.b32decode(plain + "=" * (-len(plain) % 8))


def _from_base64(text: str) -> bytes:
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
