"""The forms in which a canary may lie in bytes, and for each the bytes that give it away. Pure."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from tests.support.firewall.canaries import DIGITS, MARK_CHARS

_WHOLE: Final = MARK_CHARS + DIGITS
_QUARTET: Final = 4
_WINDOW: Final = 8 * _WHOLE


@dataclass(frozen=True, slots=True)
class Form:
    """`needle` stands wherever a canary lies in this form; `read` makes text of the bytes around it, to say which it is."""

    name: str
    needle: bytes
    read: Callable[[bytes, int], bytes]

    def numbers(self, data: bytes, mark: str) -> Iterator[int | None]:
        """The numbers of the canaries in `data`; None for a mark whose number cannot be read."""
        named = re.compile(re.escape(mark.encode()) + b"(\\d{%d})" % DIGITS, re.IGNORECASE)
        at = data.find(self.needle)
        while at >= 0:
            found = named.search(_carefully(self.read, data, at))
            yield int(found[1]) if found else None
            at = data.find(self.needle, at + len(self.needle))


def forms(mark: str) -> list[Form]:
    """Every form that is searched for."""
    raw = mark.encode()
    hexed = raw.hex()
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in mark)
    percent = "".join(f"%{byte:02x}" for byte in raw)
    found = [
        Form("raw", raw, _plain),
        Form("lower case", raw.lower(), _plain),
        Form("upper case", raw.upper(), _plain),
        Form("reversed", raw[::-1], _reversed),
        Form("utf-16-le", mark.encode("utf-16-le"), lambda data, at: data[at : at + _WINDOW : 2]),
        Form("utf-16-be", mark.encode("utf-16-be"), lambda data, at: data[at + 1 : at + _WINDOW : 2]),
        Form("utf-32", mark.encode("utf-32-le"), lambda data, at: data[at : at + _WINDOW : 4]),
    ]
    found += [Form(f"hex {case.__name__}", case(hexed).encode(), _hexed) for case in (str.lower, str.upper)]
    for case in (str.lower, str.upper):
        found.append(Form(f"\\u {case.__name__}", case(escaped).replace("\\U", "\\u").encode(), _escaped))
        found.append(
            Form(f"percent {case.__name__}", case(percent).encode(), lambda data, at: unquote_to_bytes(data[at : at + _WINDOW]))
        )
    return found + list(_base64(raw))


def _base64(raw: bytes) -> Iterator[Form]:
    """Three alignments, in both alphabets where they differ. What depends on the bytes beside the mark is no part of a needle."""
    for ahead in range(3):
        first = -(-8 * ahead // 6)  # the first sign that holds bits of the mark alone
        last = 8 * (ahead + len(raw)) // 6
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            needle = encode(bytes(ahead) + raw + bytes(3))[first:last]

            def read(data: bytes, at: int, first: int = first) -> bytes:
                begin = at - first
                signs = data[max(begin, 0) : begin + _WINDOW].translate(bytes.maketrans(b"-_", b"+/"))
                body = (re.match(rb"[A-Za-z0-9+/]*", signs) or [b""])[0]
                return base64.b64decode(body + b"=" * (-len(body) % _QUARTET))

            yield Form(f"{name}+{ahead}", needle, read)


def _plain(data: bytes, at: int) -> bytes:
    return data[at : at + _WHOLE]


def _reversed(data: bytes, at: int) -> bytes:
    return data[max(0, at - 2 * DIGITS) : at + MARK_CHARS][::-1]


def _hexed(data: bytes, at: int) -> bytes:
    return bytes.fromhex(data[at : at + 2 * _WHOLE].decode("ascii"))


def _escaped(data: bytes, at: int) -> bytes:
    return re.sub(rb"\\u00([0-9a-fA-F]{2})", lambda sign: bytes.fromhex(sign[1].decode()), data[at : at + _WINDOW])


def _carefully(read: Callable[[bytes, int], bytes], data: bytes, at: int) -> bytes:
    try:
        return read(data, at)
    except (ValueError, binascii.Error):
        return b""
