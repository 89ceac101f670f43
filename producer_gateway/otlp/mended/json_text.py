"""JSON made readable where a writer was careless: everything that is changed becomes no name and no number.

Halves of surrogates, which JavaScript writes where it cuts a string inside an emoji; bytes that are not UTF-8; control characters
as they are; escapes that JSON does not have; NaN; values nested deeper than any parser goes.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Final

_CHUNK_BYTES: Final = 64 * 1024
"""Decoded at once: as characters, bytes can take four times as much."""
_CONTROLS: Final = bytes.maketrans(bytes(range(32)), b" " * 32)
_HALF: Final = rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
_PAIR: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPES: Final = re.compile(rb"(?P<right>\\\\|" + _PAIR + rb")|" + _HALF + rb"|\\(?!u[0-9a-fA-F]{4}|[\"/bfnrt\\])")
_REPLACED: Final = rb"\ufffd"
_NO_NUMBERS: Final = re.compile(rb"(?<=[:,\[ ])-?(?:NaN|Infinity)(?=[,}\] ])")
_BRACKETS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_DEPTH_MAX: Final = 64
"""A string in an array attribute lies 14 deep."""


def mend(body: bytes) -> bytes:
    """JSON with U+FFFD, blanks or null for what is no JSON, where that can be told."""
    text = _ESCAPES.sub(_mended, _utf8(body).translate(_CONTROLS))
    return _NO_NUMBERS.sub(b"null", text)


def cut(text: bytes) -> bytes:
    """The same with null for values that lie deeper than any that is read."""
    return b"".join(_cut(text))


def _mended(escape: re.Match[bytes]) -> bytes:
    return escape["right"] or _REPLACED


def _utf8(body: bytes) -> bytes:
    """UTF-8, without the mark at its beginning."""
    if body.isascii():
        return body
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    starts = range(0, len(body), _CHUNK_BYTES)
    chunks = [decoder.decode(body[at : at + _CHUNK_BYTES]).encode() for at in starts] + [decoder.decode(b"", final=True).encode()]
    return b"".join(chunks).removeprefix(codecs.BOM_UTF8)


def _cut(text: bytes) -> Iterator[bytes]:
    depth = kept = 0
    for token in _BRACKETS.finditer(text):
        mark = text[token.start()]
        if mark in b"[{":
            depth += 1
            if depth == _DEPTH_MAX + 1:
                yield text[kept : token.start()]
                yield b"null"
        elif mark in b"]}":
            depth -= 1
            if depth == _DEPTH_MAX:
                kept = token.end()
    yield text[kept:] if depth <= _DEPTH_MAX else b""
