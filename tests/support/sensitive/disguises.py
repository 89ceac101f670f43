"""The separators, contexts and encodings that a value may arrive in where a name belongs: the form of names in mind, or not."""

import base64
import random
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tests.support.sensitive.values import VALUES

_SEPARATORS: Final = ("", "-", "_", ".", ":", "/", " ", "+")
_BEFORE: Final = ("", "", "", "user-", "tool:", "x/", "lookup ", "call_")
_AFTER: Final = ("", "", "", "-v2", "/done", ":ok", " now")
_DIGIT_GROUPS: Final = re.compile(r"[A-Za-z0-9]{1,4}")


def _grouped(rng: random.Random, value: str) -> str:
    """Groups of four with one separator."""
    return rng.choice(_SEPARATORS).join(_DIGIT_GROUPS.findall(value))


def _parted(rng: random.Random, value: str) -> str:
    """Its own separators changed to others."""
    return re.sub(r"[-.]", rng.choice(_SEPARATORS[1:]), value)


def _mail(rng: random.Random, value: str) -> str:
    """The sign between user and host written otherwise."""
    user, _, host = value.partition("@")
    return user + rng.choice(("@", "@", "%40", "-at-", "_at_", ".at.", " at ", "(at)", "+at+", "&#64;")) + host


def _phone(rng: random.Random, value: str) -> str:
    """North American numbers with other separators; others in groups, or with `00`."""
    if value.startswith("+1-"):
        return re.sub("-", rng.choice(("-", ".", " ", "_")), value)
    country, rest = value[:3], value[3:]
    return rng.choice(("+", "+", "00")) + country[1:] + rng.choice(("", "-", " ", ".", "/")) + rest


def _ipv6(rng: random.Random, value: str) -> str:
    """Whole ones with other separators too; shortened ones in upper case."""
    return value.replace(":", rng.choice((":", "-", "_"))) if "::" not in value else rng.choice((value, value.upper()))


def _words(rng: random.Random, value: str) -> str:
    """Blanks written as names and URLs write them."""
    return value.replace(" ", rng.choice((" ", " ", "-", "+", "%20", "\t", "  ")))


def _as_it_is(_: random.Random, value: str) -> str:
    return value


_DISGUISES: Final[Mapping[str, Callable[[random.Random, str], str]]] = {
    "card": _grouped,
    "iban": _grouped,
    "national_id": _parted,
    "phone": _phone,
    "email": _mail,
    "ipv4": _parted,
    "ipv6": _ipv6,
    "prose": _words,
}
_ENCODINGS: Final[tuple[Callable[[str], str], ...]] = (
    *[str] * 6,
    lambda text: urllib.parse.quote(text, safe=""),
    lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    lambda text: text.encode().hex(),
    lambda text: "0x" + text.encode().hex(),
    lambda text: base64.b32encode(text.encode()).decode().rstrip("="),
    lambda text: re.sub(r"[^A-Za-z0-9]", lambda found: f"&#{ord(found[0])};", text),
    lambda text: re.sub(r"[^A-Za-z0-9]", lambda found: f"&#x{ord(found[0]):x};", text),
    lambda text: text.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)}),  # their full-width forms
)


def sensitive(seed: int, *, of_each: int) -> Iterator[tuple[str, str]]:
    """Detector and text, so many of each. Equal seeds give equal texts."""
    rng = random.Random(seed)
    for detector, make in VALUES.items():
        for _ in range(of_each):
            value = _DISGUISES.get(detector, _as_it_is)(rng, make(rng))
            yield detector, rng.choice(_ENCODINGS)(rng.choice(_BEFORE) + value + rng.choice(_AFTER))
