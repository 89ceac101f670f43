"""Compressed bodies that are nearly right: torn, flipped, doubled, lied about, or bombs. Pure.

A further encoding of the gateway's is a further row of ENCODERS.
"""

import gzip
import random
import zlib
from collections.abc import Callable, Mapping
from typing import Final

import zstandard

ENCODERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "gzip": lambda data: gzip.compress(data, 1, mtime=0),
    "x-gzip": lambda data: gzip.compress(data, 9, mtime=0),
    "zstd": lambda data: zstandard.ZstdCompressor(level=1).compress(data),
}
OTHERS: Final = (
    "identity",
    "",
    "GZIP",
    " gzip ",
    "gzip, gzip",
    "gzip,identity",
    "br",
    "deflate",
    "zstd, gzip",
    "\x7f",
    "gzip;q=1",
)
_BOMB: Final = bytes(4 * 1024 * 1024)


def framed(chance: random.Random, body: bytes) -> tuple[bytes, str]:
    """The body under a content-encoding, which mostly is right."""
    name = chance.choice(tuple(ENCODERS))
    packed = ENCODERS[name](body)
    kind = chance.randrange(12)
    if kind < 5:
        return packed, name
    return _broken(chance, name, packed, body), chance.choice(OTHERS) if kind == 11 else name


def _broken(chance: random.Random, name: str, packed: bytes, body: bytes) -> bytes:  # noqa: PLR0911 - one line a change
    at = chance.randrange(len(packed) or 1)
    match chance.randrange(10):
        case 0:
            return packed[:at]
        case 1:
            flipped = bytearray(packed)
            flipped[at] ^= 1 << chance.randrange(8)
            return bytes(flipped)
        case 2:
            return packed + packed
        case 3:
            return packed + b"\0" * chance.randint(1, 20)
        case 4:
            return ENCODERS[name](packed)
        case 5:
            return body
        case 6:
            return zlib.compress(body)
        case 7:
            return b""
        case 8:
            return ENCODERS[name](_BOMB[: chance.choice((70_000, 1_000_000, len(_BOMB)))])
    header = bytearray(packed[:18])
    header[chance.randrange(len(header))] = chance.randrange(256)
    return bytes(header) + packed[18:]
