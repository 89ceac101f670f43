"""Both services keep to their OpenAPI documents, whatever is asked: schemathesis makes the requests and holds all its checks."""

import asyncio
import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest

from producer_gateway.app import create_app as create_gateway
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from query_service.api.run_schema import RUN_EXAMPLE
from query_service.app import create_app as create_query
from query_service.settings import QuerySettings
from query_service.testing import FakeStore
from query_service.testing_rows import FailureSeed, RunSeed, StepSeed
from servicekit.auth.key_cache import KeyCache
from servicekit.auth.keys import Scope
from servicekit.testing import MemoryKeys, cache_of
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


def gateway(ring: KeyCache) -> Any:
    return create_gateway(GatewaySettings(), MemoryRecordLog(), keys=ring)


def query(ring: KeyCache) -> Any:
    """With the run that the document's examples ask for."""
    step_id, fingerprint = "00f067aa0ba902b7", "9ae0c8f1d2b34567"
    rows = RunSeed(run_id=_RUN), StepSeed(run_id=_RUN, step_id=step_id), FailureSeed(run_id=_RUN, fingerprint=fingerprint)
    app = create_query(QuerySettings(), FakeStore(*rows), keys=ring)
    app.state.feeds.end()  # a tail would not
    return app


ACCEPTED_MIN: Final = 2
"""Of each operation, for each media type that it takes."""


class Counted:
    """An app, and how often it answered what: by method, path, media type of the request and status.

    Proves that requests are read: a suite in which each is turned away at the door passes all checks.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.seen: Counter[tuple[str, str, str, int]] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                media_type = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
                self.seen[scope["method"], scope["path"], media_type, message["status"]] += 1
            await send(message)

        await self.app(scope, receive, counted)

    def refused(self, status: int) -> int:
        """Answers of this status."""
        return sum(times for (*_, found), times in self.seen.items() if found == status)

    def accepted(self, method: str, path: str, media_type: str) -> int:
        """Good answers of one operation."""
        return sum(
            times
            for (asked, where, of, status), times in self.seen.items()
            if (asked, of) == (method, media_type) and re.fullmatch(path, where) and status < 300
        )


@pytest.mark.parametrize("service", [gateway, query])
def test_a_service_is_as_described(service: Any, keys: MemoryKeys, headers: dict[str, str], tmp_path: Path) -> None:
    """Every answer is one that the document names, in its form; what it allows is taken, and what it does not is refused."""
    options = ["--checks=all", f"--max-examples={_EXAMPLES}", "--generation-deterministic"]
    options += ["--continue-on-failure", "--no-color", "--suppress-health-check=all"]
    options += [f"--header={name}:{value}" for name, value in headers.items()]
    program = [Path(sys.executable).with_name("schemathesis"), f"--config-file={_HERE / 'schemathesis.toml'}", "run"]
    ring = cache_of(keys, stale_max_s=math.inf)
    asyncio.run(ring.refresh())
    counted = Counted(service(ring))
    with served(counted) as url:
        command = [*program, *options, f"{url}/openapi.json"]
        # Its memory of earlier failures goes with the folder, so that every run is the same.
        environment = {**os.environ, "PYTHONPATH": str(_HERE.parents[2])}
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert counted.refused(401) < counted.seen.total() / 10
    for method, path, media_type in operations(counted.app.openapi()):
        assert counted.accepted(method, path, media_type) >= ACCEPTED_MIN, (method, path, media_type)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Method, path as a pattern, and media type, of all that a document describes."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for media_type in operation.get("requestBody", {}).get("content", [""]):
                yield method.upper(), re.sub("{[a-z_]+}", "[^/]+", path), media_type
