"""Reads from `/proc` which processes are alive, and which were started for a state directory. Nothing is changed here.

A process id alone proves nothing, because ids are reused. So a process is identified by its id, the tick at which it started
and the boot that it belongs to.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
OWNER_VARIABLE = "AGENTTRACER_PROCESS_OWNER"
NAME_VARIABLE = "AGENTTRACER_PROCESS_NAME"

_exit_codes: dict[int, int] = {}
"""Exit codes of children of this Python. The kernel reports each once, to the first caller."""

# Positions in /proc/<pid>/stat counted after the program's name, which may itself hold spaces and parentheses (proc(5)).
_STATE, _PARENT, _START_TICK = 0, 1, 19


@dataclass(frozen=True)
class ProcessId:
    """One process, distinguished from later ones with the same pid."""

    pid: int
    born: str  # "<boot id>:<clock ticks since boot>"


def identify(pid: int) -> ProcessId | None:
    """Identify the process with this pid; None if there is none, or only a zombie."""
    _reap(pid)
    fields = _stat_fields(PROC / str(pid))
    if fields is None or (_ended(fields) and not _has_live_thread(pid)):
        return None
    return ProcessId(pid, f"{_boot_id()}:{fields[_START_TICK]}")


def is_alive(process: ProcessId) -> bool:
    """Whether this process still runs."""
    return identify(process.pid) == process


def exit_code(process: ProcessId) -> int | None:
    """Give what a child of this Python ended with, minus its number for a signal; None while it runs, or for no child."""
    return None if is_alive(process) else _exit_codes.get(process.pid)


def find_marked(*, owner: Path, name: str) -> ProcessId | None:
    """Find the process that was started under this name for this state directory, by the marks in its environment.

    Children inherit the marks; the one whose parent has none is the process itself.
    """
    marked = marked_pids(owner=owner, name=name)
    roots = [pid for pid in marked if _parent(pid) not in marked]
    return next((process for pid in roots if (process := identify(pid))), None)


def marked_pids(*, owner: Path, name: str) -> set[int]:
    """Give the process that was started under this name for this state directory, and its children."""
    marks = {f"{OWNER_VARIABLE}={owner}".encode(), f"{NAME_VARIABLE}={name}".encode()}
    return {pid for pid in _pids() if marks <= _environment(pid)}


def marked_names(*, owner: Path) -> set[str]:
    """Give the names under which processes of this state directory run, by the marks in their environments."""
    mark, prefix = f"{OWNER_VARIABLE}={owner}".encode(), f"{NAME_VARIABLE}=".encode()
    environments = (environment for pid in _pids() if mark in (environment := _environment(pid)))
    return {
        entry.removeprefix(prefix).decode() for environment in environments for entry in environment if entry.startswith(prefix)
    }


def busy_seconds(pids: Iterable[int]) -> float:
    """Add up the time in which the threads of these processes ran or waited for a processor; 0 where the kernel does not say."""
    threads = (thread for pid in pids for thread in (PROC / str(pid) / "task").glob("*"))
    return sum(_busy_nanoseconds(thread) for thread in threads) / 1e9


def working_in(folder: Path) -> list[ProcessId]:
    """List the processes whose working directory is this folder; PostgreSQL's stand in their data directory, and only they."""
    return [process for pid in _pids() if _working_directory(pid) == folder and (process := identify(pid))]


def _reap(pid: int) -> None:
    """Reap an ended child. Does nothing for a process that is not a child."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
    if ended:
        _exit_codes[pid] = os.waitstatus_to_exitcode(status)


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def _boot_id() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def _ended(fields: list[str]) -> bool:
    return fields[_STATE] in ("Z", "X")


def _has_live_thread(pid: int) -> bool:
    """Whether other threads outlive the first one, as during a kill: sockets stay open until the last thread ends."""
    threads = (_stat_fields(thread) for thread in (PROC / str(pid) / "task").glob("*"))
    return any(fields is not None and not _ended(fields) for fields in threads)


def _stat_fields(folder: Path) -> list[str] | None:
    try:
        stat = (folder / "stat").read_text(errors="replace")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()


def _busy_nanoseconds(thread: Path) -> int:
    try:
        running, waiting, *_ = (thread / "schedstat").read_text().split()
    except (OSError, ValueError):  # gone, or a kernel without these figures
        return 0
    return int(running) + int(waiting)


def _parent(pid: int) -> int | None:
    fields = _stat_fields(PROC / str(pid))
    return int(fields[_PARENT]) if fields else None


def _environment(pid: int) -> set[bytes]:
    try:
        return set((PROC / str(pid) / "environ").read_bytes().split(b"\0"))
    except OSError:  # ended, or another user's
        return set()


def _working_directory(pid: int) -> Path | None:
    try:
        return (PROC / str(pid) / "cwd").readlink()
    except OSError:
        return None
