"""Records and stored runs sorted into slices by run, so that a topic of any size is folded in bounded memory.

Records beyond the budget go to unnamed temporary files, which hold raw records and vanish with the process.
"""

import struct
import tempfile
from collections.abc import Iterator
from typing import IO, Final

_FILES: Final = 64
_HEAD: Final = struct.Struct("<QiqI")  # run's hash, partition, offset, length
_FOLDED_PER_BYTE: Final = 12
"""Memory of a byte of JSON in the end: its record (measured 3 times its size), its rows (2), the store's rows with what asyncpg
holds of them (about 4), and room to spare."""


class Slices:
    """Raw records by run. Add all, then take one slice after the other."""

    def __init__(self, *, memory_bytes: int) -> None:
        self._slice_bytes = max(1, memory_bytes // _FOLDED_PER_BYTE)
        in_memory = max(1, self._slice_bytes // _FILES)
        self._files: list[IO[bytes]] = [tempfile.SpooledTemporaryFile(in_memory) for _ in range(_FILES)]  # noqa: SIM115 - `take` closes them

    def add(self, hashed: int, partition: int, offset: int, value: bytes) -> None:
        """Keep one record."""
        self._files[hashed % _FILES].write(_HEAD.pack(hashed, partition, offset, len(value)) + value)

    def __len__(self) -> int:
        """How many slices there are, once all is added."""
        return sum(self._parts(file) for file in self._files)

    def take(self) -> Iterator["Slice"]:
        """The slices. A file that is larger than the budget is read several times, a part of its runs each."""
        for number, file in enumerate(self._files):
            parts = self._parts(file)
            for part in range(parts):
                yield Slice(file, number, part, parts)
            file.close()

    def _parts(self, file: IO[bytes]) -> int:
        return max(1, -(-file.tell() // self._slice_bytes))


class Slice:
    """Some runs' records."""

    def __init__(self, file: IO[bytes], number: int, part: int, parts: int) -> None:
        self._file = file
        self._number = number
        self._part = part
        self._parts = parts

    def has(self, hashed: int) -> bool:
        """Whether the run of this hash is of this slice."""
        return hashed % _FILES == self._number and hashed // _FILES % self._parts == self._part

    def records(self) -> Iterator[tuple[int, int, bytes]]:
        """Partition, offset and value of each record. Leaves the file's position at its end, where it was."""
        self._file.seek(0)
        while head := self._file.read(_HEAD.size):
            hashed, partition, offset, length = _HEAD.unpack(head)
            value = self._file.read(length)
            if self.has(hashed):
                yield partition, offset, value
