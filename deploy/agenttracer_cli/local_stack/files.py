"""Files of the state directory: atomic writes, locks, logs of limited size, secrets. Their content is not known here."""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from agenttracer_cli.errors import StateError

_LOG_LIMIT_BYTES = 16 * 1024 * 1024
_PRIVATE_DIR = 0o700


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace the file's content so that any reader, and any crash, sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def append_log(path: Path) -> BinaryIO:
    """Open a log to append to; one that has grown over 16 MiB is put aside first (one old one is kept)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".log.1"))
    log = path.open("ab")
    log.seek(0, os.SEEK_END)
    return log


def open_state_dir(path: Path) -> Path:
    """Make the state directory and give its real path. No other user may look into it: data, logs and passwords are in there.

    Raises StateError if it belongs to another user: a stack that root started must not be taken over half by another user.
    """
    real = path.resolve()
    try:
        real.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_DIR)
        owner = real.stat().st_uid
        if owner == os.geteuid() and _is_ours(real):
            real.chmod(_PRIVATE_DIR)
    except OSError as error:
        raise StateError(f"cannot use {real} ({error.strerror}); choose another place with AGENTTRACER_STATE_DIR") from error
    if owner != os.geteuid():
        raise StateError(
            f"{real} belongs to user id {owner}; run as that user, or choose another place with AGENTTRACER_STATE_DIR"
        )
    return real


def _is_ours(folder: Path) -> bool:
    """Whether nothing but a stack lives there: somebody's home, or /tmp, is not closed to others."""
    return (folder / "secrets").exists() or not any(folder.iterdir())


@contextmanager
def locked(path: Path, *, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold an exclusive lock. Calls `waiting` once if another process has it. The kernel releases it if we die."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def secret(path: Path) -> str:
    """Give the secret in this file; the first call generates it. Only the owner can read the file."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, secrets.token_hex(24), mode=0o600)
    return path.read_text().strip()
