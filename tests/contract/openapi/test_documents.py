"""Both services keep to their OpenAPI documents, whatever is asked: schemathesis makes the requests and holds all its checks."""

import asyncio
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from producer_gateway.app import create_app as create_gateway
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from query_service.app import create_app as create_query
from query_service.run_answer import RUN_EXAMPLE
from query_service.settings import QuerySettings
from query_service.testing import FakeStore
from query_service.testing_rows import FailureRow, RunRow, StepRow
from servicekit.key_ring import KeyRing
from servicekit.keys import Scope
from servicekit.testing import MemoryKeys, ring_of
from tests.support.served import served

_RUN: Final = UUID(RUN_EXAMPLE["run_id"])
_HERE: Final = Path(__file__).parent
_EXAMPLES: Final = 30
"""For each operation, beside the document's own examples and the borders of every constraint."""


@pytest.fixture
def keys() -> MemoryKeys:
    return MemoryKeys()


@pytest.fixture
def headers(keys: MemoryKeys) -> dict[str, str]:
    """What lets a request in."""
    return {"X-Api-Key": keys.create(Scope.INGEST, Scope.READ)}


def gateway(ring: KeyRing) -> Any:
    return create_gateway(GatewaySettings(), MemoryRecordLog(), keys=ring)


def query(ring: KeyRing) -> Any:
    """With the run that the document's examples ask for."""
    rows = RunRow(run_id=_RUN), StepRow(run_id=_RUN), FailureRow(run_id=_RUN)
    return create_query(QuerySettings(), FakeStore(*rows), keys=ring)


@pytest.mark.parametrize("service", [gateway, query])
def test_a_service_is_as_described(service: Any, keys: MemoryKeys, headers: dict[str, str], tmp_path: Path) -> None:
    """Every answer is one that the document names, in its form; what it allows is taken, and what it does not is refused."""
    options = ["--checks=all", f"--max-examples={_EXAMPLES}", "--generation-deterministic"]
    options += ["--continue-on-failure", "--no-color", "--suppress-health-check=all"]
    options += [f"--header={name}:{value}" for name, value in headers.items()]
    program = [Path(sys.executable).with_name("schemathesis"), f"--config-file={_HERE / 'schemathesis.toml'}", "run"]
    ring = ring_of(keys, stale_max_s=math.inf)
    asyncio.run(ring.refresh())
    with served(service(ring)) as url:
        command = [*program, *options, f"{url}/openapi.json"]
        # Its memory of earlier failures goes with the folder, so that every run is the same.
        environment = {**os.environ, "PYTHONPATH": str(_HERE.parents[2])}
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 operations" not in ran.stdout
