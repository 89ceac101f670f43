"""Lists the service processes of a state directory, whichever command started them, and stops them in order."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGTERM

from agenttracer_cli.local.services import GATEWAY, STOP_WITHIN_S
from agenttracer_cli.local_stack.owned_process import OwnedProcess
from agenttracer_cli.local_stack.process_table import marked_names

UP = "up"  # the command itself, while it runs
_NOT_SERVICES = {UP, "kafka", "postgres"}
_FIRST = GATEWAY  # no new events while the rest still works off what it has


def running_services(state_dir: Path) -> list[OwnedProcess]:
    """List the service processes that are alive."""
    owner = state_dir.resolve()
    names = {record.stem for record in (owner / "run").glob("*.json")} | marked_names(owner=owner)
    processes = (OwnedProcess(state_dir=owner, name=name) for name in sorted(names - _NOT_SERVICES))
    return [process for process in processes if process.find()]


def stop_services(state_dir: Path, *, report: Callable[[str], None]) -> None:
    """Stop every service process: the gateway, then all others at once."""
    running = running_services(state_dir)
    for process in running:
        if process.name == _FIRST:
            _stop(process, report=report)
    others = [process for process in running if process.name != _FIRST]
    with ThreadPoolExecutor(max_workers=len(others) or 1) as threads:
        list(threads.map(lambda process: _stop(process, report=report), others))


def _stop(process: OwnedProcess, *, report: Callable[[str], None]) -> None:
    process.end(with_signal=SIGTERM, grace_s=STOP_WITHIN_S)
    report(f"{process.name} stopped")
