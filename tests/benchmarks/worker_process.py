"""What can be seen of running processes from outside: CPU time, memory, and what a worker says of itself. Linux only."""

import os
import time
from pathlib import Path
from typing import NamedTuple

import httpx

from agenttracer_cli.local.services import Service
from tests.support.pipeline import Pipeline

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, of all threads of a process."""
    return time.clock_gettime((~pid << 3) | 2)  # Linux's number for the clock of another process


def pid_of(service: Service) -> int:
    """The process id of a service that runs."""
    pid = service.pid
    assert pid is not None, f"{service.name} does not run"
    return pid


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def backend_pid(pipeline: Pipeline, database: str) -> int:
    """The Postgres process that writes for the one worker of a database."""
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'agenttracer-worker'"
    (row,) = pipeline.sql(query, database=database)
    return int(row["pid"])


def cpu_s_by_stage(worker: Service) -> dict[str, float]:
    """CPU seconds of the worker so far: as it says itself, the rest of its main thread (write), all others (fetch)."""
    said = labelled(worker, "stage_cpu_seconds_total", "stage")
    pid = pid_of(worker)
    total, main = cpu_s(pid), _thread_cpu_s(pid, pid)
    return {**said, "write": main - sum(said.values()), "fetch": total - main, "total": total}


def events_read(worker: Service) -> float:
    """How many events the worker says it has read; 0 before it answers."""
    try:
        return _number(worker, "events_total")
    except httpx.TransportError:
        return 0


class Transactions(NamedTuple):
    """A worker's transactions so far."""

    done: float
    seconds: float


def transactions(worker: Service) -> Transactions:
    """What the worker says of its transactions."""
    return Transactions(_number(worker, "transaction_seconds_count"), _number(worker, "transaction_seconds_sum"))


def _number(worker: Service, name: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in _metrics(worker) if line.startswith(f"agenttracer_worker_{name} "))


def labelled(worker: Service, name: str, label: str) -> dict[str, float]:
    """One of the worker's counters by its label."""
    found = {}
    for line in _metrics(worker):
        if line.startswith(f"agenttracer_worker_{name}{{"):
            found[line.partition(f'{label}="')[2].partition('"')[0]] = float(line.rpartition(" ")[2])
    return found


def _metrics(worker: Service) -> list[str]:
    return httpx.get(f"{worker.url}/metrics", timeout=10).text.splitlines()


def _thread_cpu_s(pid: int, thread: int) -> float:
    fields = Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """How busy the machine is with other things."""

    busy_cores: float
    load_1m: float


def others(*, for_s: float = 3.0) -> Load:
    """Cores in use while nothing of ours is at work, over so many seconds, and the load average."""
    before, began = _busy_s(), time.monotonic()
    time.sleep(for_s)  # the measurement itself: how much others use in that time
    return Load(round((_busy_s() - before) / (time.monotonic() - began), 2), round(os.getloadavg()[0], 2))


def _busy_s() -> float:
    numbers = [int(each) for each in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    idle, waiting = numbers[3], numbers[4]
    return (sum(numbers[:8]) - idle - waiting) / os.sysconf("SC_CLK_TCK")
