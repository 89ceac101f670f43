"""The processes of a soak: gateways and workers by the number one likes, their keys, and what they say of themselves."""

import json
from collections.abc import Sequence
from pathlib import Path

import httpx

from agenttracer_cli.admin.api_keys import ApiKeys, Purpose
from agenttracer_cli.local import services
from agenttracer_cli.local.local_key import name_key_text, pepper_text
from servicekit.auth.keys import Scope
from tests.chaos.load import PROJECTS
from tests.support.pipeline import Pipeline

SESSION_S = 6
_WORKER = {
    "AGENTTRACER_WORKER_SESSION_TIMEOUT_S": str(SESSION_S),
    "AGENTTRACER_WORKER_RETRY_MAX_S": "1",
    "AGENTTRACER_WORKER_TRANSACTION_TIMEOUT_S": "10",
    "AGENTTRACER_WORKER_COMPACT_EVERY_S": "0.2",  # beside everything that happens
    "AGENTTRACER_WORKER_DEAD_LETTER_MAX_SHARE": "0.2",  # poison comes in bursts here
}


def ingest_keys(pipeline: Pipeline) -> dict[str, str]:
    """A key for each project to send with."""
    return _keys(pipeline, Scope.INGEST, database=pipeline.database)


def read_keys(pipeline: Pipeline, *, database: str) -> dict[str, str]:
    """A key for each project to read this database with."""
    return _keys(pipeline, Scope.READ, database=database)


def _keys(pipeline: Pipeline, scope: Scope, *, database: str) -> dict[str, str]:
    keys = ApiKeys(pipeline.stack.dsn(database=database, role="agenttracer_owner"))
    made = {
        name: keys.replace(Purpose(project=name, scopes=frozenset({scope}), name="soak"), pepper=pipeline.pepper)
        for name in PROJECTS
    }
    return {name: key.text for name, key in made.items()}


def gateway(pipeline: Pipeline, number: int, **extra: str) -> services.Service:
    """One of several gateways of a pipeline, not started. Their names are all alike, so each has a folder of its own."""
    settings = {
        "kafka_bootstrap": pipeline.stack.bootstrap,
        "topic": pipeline.topic,
        "postgres_dsn": pipeline.stack.dsn(database=pipeline.database, role="agenttracer_gateway"),
        "key_pepper": pepper_text(pipeline.state_dir),
        "name_key": name_key_text(pipeline.state_dir),
    }
    return _owned(pipeline, services.gateway(state_dir=_folder(pipeline, f"gateway-{number}"), extra=extra, **settings))


def worker(pipeline: Pipeline, number: int, *, database: str, group: str, **extra: str) -> services.Service:
    """One worker, not started."""
    service = services.worker(
        number=number,
        state_dir=_folder(pipeline, "workers"),
        kafka_bootstrap=pipeline.stack.bootstrap,
        postgres_dsn=pipeline.stack.dsn(database=database, role="agenttracer_worker"),
        topic=pipeline.topic,
        extra={**_WORKER, "AGENTTRACER_WORKER_GROUP": group, **extra},
    )
    return _owned(pipeline, service)


def query(pipeline: Pipeline, *, database: str, role: str = "query", number: int = 1) -> services.Service:
    """One of several query services, not started."""
    dsn = pipeline.stack.dsn(database=database, role=f"agenttracer_{role}")
    folder = _folder(pipeline, f"query-{number}")
    return _owned(pipeline, services.query(state_dir=folder, postgres_dsn=dsn, key_pepper=pepper_text(pipeline.state_dir)))


def planted(service: services.Service, bug: str) -> services.Service:
    """The same service with a bug in it (`bugs.py`), or with `none`."""
    service._environment = {**service._environment, "PLANTED_BUG": bug, "PLANTED_IN": service._module}
    service._module = "tests.chaos.planted"
    return service


def metrics(service: services.Service, names: Sequence[str]) -> dict[str, float]:
    """Sums of a worker's metrics by name; empty when it does not answer."""
    try:
        lines = httpx.get(f"{service.url}/metrics", timeout=2).text.splitlines()
    except httpx.HTTPError:
        return {}
    found = dict.fromkeys(names, 0.0)
    for line in lines:
        name = line.partition("{")[0].partition(" ")[0].removeprefix("agenttracer_worker_")
        if name in found and not line.startswith("#"):
            found[name] += float(line.rpartition(" ")[2])
    return found


def owned_partitions(service: services.Service) -> frozenset[int]:
    """The partitions that a worker says it reads."""
    try:
        lines = httpx.get(f"{service.url}/metrics", timeout=2).text.splitlines()
    except httpx.HTTPError:
        return frozenset()
    mark = 'agenttracer_worker_lag_records{partition="'
    return frozenset(int(line.removeprefix(mark).partition('"')[0]) for line in lines if line.startswith(mark))


def poison(number: int) -> tuple[bytes, bytes]:
    """A record that no worker can store, in turn: no JSON, an unknown version, nothing of a record, not even text."""
    values = (b"canary-not-json{", json.dumps({"v": "9.0", "project": "default", "events": []}).encode(), b"{}", b"\xff\x00\xfe")
    return f"poison:{number}".encode(), values[number % len(values)]


def _folder(pipeline: Pipeline, name: str) -> Path:
    folder = pipeline.state_dir / name
    folder.mkdir(exist_ok=True)
    return folder


def _owned(pipeline: Pipeline, service: services.Service) -> services.Service:
    pipeline.processes.append(service)
    return service
