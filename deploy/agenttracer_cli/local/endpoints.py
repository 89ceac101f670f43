"""The addresses of a running pipeline, in the file `endpoints.json` of its state directory.

It never holds a password.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from agenttracer_cli.errors import NotRunningError
from agenttracer_cli.local_stack.files import write_atomically

FILE_NAME = "endpoints.json"


@dataclass(frozen=True)
class PipelineEndpoints:
    """Addresses of everything that runs."""

    gateway_url: str
    query_url: str
    worker_urls: tuple[str, ...]  # metrics, health
    kafka_bootstrap: str
    topic: str
    postgres_address: str  # host:port/database
    local_kafka: bool  # ours, or an existing one that we were pointed at
    local_postgres: bool
    gateway_processes: int = 1  # on that one port
    grpc_port: int | None = None  # the gateway's


def write_endpoints(state_dir: Path, endpoints: PipelineEndpoints) -> None:
    """Write the file."""
    write_atomically(state_dir / FILE_NAME, json.dumps(asdict(endpoints), indent=2) + "\n")


def read_endpoints(state_dir: Path) -> PipelineEndpoints:
    """Read the file. Raises NotRunningError if nothing runs."""
    try:
        found = json.loads((state_dir / FILE_NAME).read_text())
        return PipelineEndpoints(**{**found, "worker_urls": tuple(found["worker_urls"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        raise NotRunningError("nothing is up; start it with `agenttracer up`") from None


def remove_endpoints(state_dir: Path) -> None:
    """Remove the file."""
    (state_dir / FILE_NAME).unlink(missing_ok=True)
