"""Searches bytes, files and folders for canaries in every form, and unwraps what it comes across.

Every place is searched as it is, and then every gzip, zlib and zstd stream and bytea literal found inside it, and inside those.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import zstandard

from tests.support.firewall.canaries import Canaries
from tests.support.firewall.forms import forms

_STREAM: Final = re.compile(rb"\x1f\x8b\x08|\x28\xb5\x2f\xfd|\x78[\x01\x5e\x9c\xda]")
_BYTEA: Final = re.compile(rb"\\x((?:[0-9a-f]{2}){16,})")
_ANY_WRAPPER: Final = 47  # zlib's code for a gzip or zlib header, whichever is there
_INFLATED_MAX_BYTES: Final = 64 * 1024 * 1024
_DEPTH_MAX: Final = 3
_FIRST_BITE: Final = 512
_BITE: Final = 65_536
_PAGE: Final = 4096
_EMPTY: Final = bytes(_PAGE)


@dataclass
class Findings:
    """What was found where. `unread` are marks whose number could not be read: a find all the same."""

    numbers: set[int] = field(default_factory=set)
    unread: int = 0
    places: Counter[str] = field(default_factory=Counter)
    searched_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.numbers or self.unread)

    def share_of(self, canaries: Canaries) -> float:
        """How many of all planted canaries were found, from 0 to 1."""
        planted = len(canaries.planted)
        return sum(number < planted for number in self.numbers) / planted


class Scanner:
    """Looks for one set of canaries."""

    def __init__(self, canaries: Canaries) -> None:
        self._mark = canaries.mark
        self._forms = forms(canaries.mark)

    def scan(self, places: Iterable[tuple[str, bytes]]) -> Findings:
        """Search every place, given by its name and its bytes."""
        findings = Findings()
        for name, data in places:
            for inside, layer in self._layers(data, name, 0):
                findings.searched_bytes += len(layer)
                self._search(layer, inside, findings)
        return findings

    def _search(self, data: bytes, place: str, findings: Findings) -> None:
        for form in self._forms:
            for number in form.numbers(data, self._mark):
                findings.places[f"{place} ({form.name})"] += 1
                if number is None:
                    findings.unread += 1
                else:
                    findings.numbers.add(number)

    def _layers(self, data: bytes, name: str, depth: int) -> Iterator[tuple[str, bytes]]:
        yield name, data
        if depth < _DEPTH_MAX:
            for unwrapped in streams(data):
                yield from self._layers(unwrapped, f"{name} > unwrapped", depth + 1)


def streams(data: bytes) -> Iterator[bytes]:
    """What the compressed streams inside `data` inflate to, each as far as it goes, and what PostgreSQL writes as hex."""
    for start in _STREAM.finditer(data):
        inflated = _inflated(data, start.start(), zstd=start[0] == b"\x28\xb5\x2f\xfd")
        if inflated:
            yield inflated
    for literal in _BYTEA.finditer(data):
        yield bytes.fromhex(literal[1].decode("ascii"))


def _inflated(data: bytes, at: int, *, zstd: bool) -> bytes:
    """In small bites: what comes before a tear is kept."""
    stream = zstandard.ZstdDecompressor().decompressobj() if zstd else zlib.decompressobj(_ANY_WRAPPER)
    bites: list[bytes] = []
    size, bite = 0, _FIRST_BITE
    while at < len(data) and size < _INFLATED_MAX_BYTES and not stream.eof:
        before = None if zstd else stream.copy()
        try:
            bites.append(stream.decompress(data[at : at + bite]))
        except zstandard.ZstdError:
            break
        except zlib.error:
            bites += _until_the_tear(before, data[at : at + bite])
            break
        size += len(bites[-1])
        at, bite = at + bite, _BITE
    return b"".join(bites)


def _until_the_tear(stream: Any, data: bytes) -> Iterator[bytes]:
    with suppress(zlib.error):
        for at in range(len(data)):
            yield stream.decompress(data[at : at + 1])


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below `folder` without its empty pages, its name as a place of its own."""
    for path in sorted(folder.rglob("*")):
        yield f"name of {path.name}", path.name.encode()
        if path.is_file() and not path.is_symlink():
            yield str(path.relative_to(folder)), _without_empty_pages(path.read_bytes())


def _without_empty_pages(data: bytes) -> bytes:
    """Kafka and Postgres set room aside: most of their files' bytes are zeros, in runs far longer than any canary."""
    if _EMPTY not in data:
        return data
    pages = (data[at : at + _PAGE] for at in range(0, len(data), _PAGE))
    kept: list[bytes] = []
    for page in pages:
        if page != _EMPTY:
            kept.append(page)
        elif kept and kept[-1] is not _EMPTY:
            kept.append(_EMPTY)
    return b"".join(kept)
