"""A segment: one file of checksummed records in a spool's directory. The process that holds its lock owns it.

A record is its length and CRC-32 as big-endian 32 bit numbers, then its bytes. Records are written by one call of the
operating system and not synced: they survive the end of the process, but not a loss of power.

The lock is `flock`: it belongs to the open file and ends with the last process that has the file open. Its owner alone may
deliver and remove the segment. Nothing here knows what a record means.
"""

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self
from zlib import crc32

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock: there the spool is off
    fcntl = None  # type: ignore[assignment]  # the spool checks `LOCKS` first

RECORD_MAX_BYTES: Final = 64 * 1024
"""No event is nearly as large; a length beyond it was not written by us."""
LOCKS: Final = fcntl is not None
"""Whether this system has `flock`."""
SUFFIX: Final = ".segment"
_HEAD: Final = struct.Struct(">II")
_TRIES: Final = 8


class SegmentRecords(NamedTuple):
    """Records from one position of a segment up to `end`. `damaged`: how many could not be read; a torn end counts as one."""

    records: Sequence[bytes]
    end: int
    damaged: int


class Segment:
    """An open and locked segment. Used under its spool's lock."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self.position = 0
        """The records before it are settled."""
        self.undelivered = 0
        """Events in it that this process wrote and that are not settled."""

    @classmethod
    def create(cls, directory: Path, name: str) -> Self:
        """A new, empty segment. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        for attempt in range(_TRIES):
            path = directory / f"{name}-{attempt}{SUFFIX}"
            descriptor = os.open(path, flags, 0o600)
            if _lock(descriptor):
                return cls(path, descriptor)
            os.close(descriptor)  # another process opened it before it was locked, and removed it as an empty one left behind
        raise OSError

    @classmethod
    def open_abandoned(cls, path: Path) -> Self | None:
        """The segment at `path` if no process owns it any more. Raises OSError where files cannot be locked."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None  # removed meanwhile, or a folder, or a link
        if _lock(descriptor):
            return cls(path, descriptor)
        os.close(descriptor)
        return None

    def append(self, frames: bytes) -> None:
        """Write framed records as a whole or not at all. Raises OSError."""
        written = 0
        try:
            written = os.write(self._descriptor, frames)
        finally:
            if written != len(frames):
                os.ftruncate(self._descriptor, self.size)
        if written != len(frames):
            raise OSError
        self.size += written

    def read(self, start: int, *, max_records: int, max_bytes: int) -> SegmentRecords:
        """Records from `start` on. Raises OSError."""
        wanted = max(max_bytes, RECORD_MAX_BYTES + _HEAD.size)
        block = os.pread(self._descriptor, min(wanted, self.size - start), start)
        all_of_it = start + len(block) == self.size
        records: list[bytes] = []
        at = damaged = 0
        while at < len(block) and len(records) < max_records:
            length, checksum = _HEAD.unpack_from(block.ljust(at + _HEAD.size, b"\0"), at)
            end = at + _HEAD.size + length
            if end > len(block) and not all_of_it and length <= RECORD_MAX_BYTES:
                break  # the record continues after the block
            if not length or end > len(block) or length > RECORD_MAX_BYTES:
                return SegmentRecords(records, self.size, damaged + 1)  # torn: no record after it can be found
            record = block[at + _HEAD.size : end]
            if crc32(record) == checksum:
                records.append(record)
            else:
                damaged += 1
            at = end
        return SegmentRecords(records, start + at, damaged)

    def truncate(self, *, keep: int) -> None:
        """Keep only the first `keep` bytes. Raises OSError."""
        os.ftruncate(self._descriptor, keep)
        self.size = self.position = keep

    def remove(self) -> None:
        """Everything in it is settled. Raises OSError."""
        try:
            self.path.unlink(missing_ok=True)
        finally:
            self.close()

    def close(self) -> None:
        """Unlock it for the next process. In a forked child this unlocks nothing: the parent still has the file open."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def frame_record(record: bytes) -> bytes:
    """A record with its length and checksum, as it is written."""
    return _HEAD.pack(len(record), crc32(record)) + record


def _lock(descriptor: int) -> bool:
    """Lock a file; false if another process has it locked or it was removed meanwhile. Closes it where it raises OSError."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        os.close(descriptor)
        raise
    return os.fstat(descriptor).st_nlink > 0
