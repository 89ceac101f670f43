"""The directory that the spools of several processes share: its rights, its bound, and the names of its segments.

An error of the disk switches writing off, once and for all: events then go from memory, as without a spool.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agenttracer import _warn
from agenttracer._clock import now
from agenttracer._lazy_imports import IMPORT_LOCK
from agenttracer._spool.segment import LOCKS, SUFFIX, Segment

DIRECTORY: Final = "agenttracer-spool"
"""Our own inside the user's, so that we may set its rights."""


def recipient_digest(api_url: str, api_key: str | None) -> str:
    """Names the gateway and key for which events are spooled, without revealing them."""
    with IMPORT_LOCK:
        import hashlib  # noqa: PLC0415 - loads OpenSSL; only when something is spooled, in the sender's thread

    recipient = f"{api_url}\0{api_key or ''}".encode()
    return hashlib.blake2b(recipient, digest_size=8, person=b"agenttracer").hexdigest()


class SpoolDirectory:
    """Shared by one process's `Spool` and `Recovery`, with the lock that protects both.

    The lock is not the queue's: the disk may be slow, and the agent's threads wait for nothing but the queue's lock.
    """

    def __init__(self, parent: str, *, max_bytes: int, recipient: Callable[[], str], owner: str) -> None:
        self._path = Path(parent) / DIRECTORY
        self._recipient = recipient
        self._mark = ""
        self._owner = owner
        """The producer's id: part of the name of each of its segments."""
        self._created = 0
        self._prepared = False
        self.max_bytes = max_bytes
        self.lock = threading.RLock()
        self.closed = False
        self.writable = True
        self.failures = 0

    @property
    def usable(self) -> bool:
        """Whether reading may work: the directory could be prepared, or was not tried yet."""
        return self.writable or self._prepared

    def hold(self, by: float | None) -> bool:
        """Keep other threads out until `release`. False when another one still holds the lock at `by`."""
        return self.lock.acquire(timeout=-1 if by is None else max(0.0, by - now()))

    def release(self) -> None:
        """End a `hold`."""
        self.lock.release()

    def prepare(self) -> None:
        """Make the directory, for this user only. Raises OSError."""
        if self._prepared:
            return
        if not LOCKS:
            raise OSError
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self._path.lstat()
        if not self._path.is_dir() or self._path.is_symlink() or found.st_uid != os.geteuid():
            raise OSError
        self._path.chmod(0o700)
        try:
            self._mark = f"-{self._recipient()}-"
        except Exception as error:
            raise OSError from error  # without a recipient's name another process could send the events elsewhere
        self._prepared = True

    def segments(self) -> list[Path]:
        """The segments of all processes, the oldest first."""
        return sorted(self._path.glob(f"*{SUFFIX}"))

    def size(self) -> int:
        """Bytes of all segments."""
        return sum(map(_size, self.segments()))

    def create_segment(self) -> Segment:
        """A new segment of this process. Raises OSError."""
        self._created += 1
        name = f"{time.time_ns() // 1_000_000:015d}{self._mark}{self._owner}-{self._created:06d}"
        return Segment.create(self._path, name)

    def is_own(self, path: Path) -> bool:
        """Whether this process created the segment."""
        return self._owner in path.name

    def has_same_recipient(self, path: Path) -> bool:
        """Whether the segment is for this process's gateway and key. After `prepare`."""
        return self._mark in path.name

    def disable(self) -> None:
        """Write no more, after an error of the disk."""
        self.writable = False
        self.failures += 1
        _warn.once("spool_off", "the spool cannot be written; it is off, and events wait in memory only")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # its process delivered and removed it meanwhile
