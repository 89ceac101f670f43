"""A rebuild under fire, for the short test and for the long drill: live traffic, readers that hammer, kills at any point."""

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import asyncpg
import httpx
from aiokafka import AIOKafkaProducer

from agenttracer.wire.topics import record_key
from ddl.migrate import SCHEMA
from servicekit import codec
from tests.support.pipeline import Pipeline
from tests.support.stacks import until
from tests.support.traffic import Traffic

if TYPE_CHECKING:
    from agenttracer.wire.envelope import Record

PHASES = ("filling", "adding up", "indexing", "catching up", "comparing", "swapping")
"""What a rebuild says that it does, in that order; adding up and indexing make the finish."""
COMMAND = [sys.executable, "-c", "from agenttracer_cli import main; main()"]


class Operator:
    """Calls the `agenttracer` command on a pipeline, as a process of its own."""

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self._pipeline = pipeline
        self._folder = folder
        self.report = folder / "report.json"
        self._log = folder / "command.log"
        self._began = 0

    def start(self, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        pipeline = self._pipeline
        dsn = pipeline.stack.dsn(database=pipeline.database, role="agenttracer_owner")
        where = ["--kafka", pipeline.stack.bootstrap, "--topic", pipeline.topic] if words[-1] != "drop-old" else []
        options, store = [*where, "--state-dir", str(self._folder)], {**os.environ, "AGENTTRACER_POSTGRES_DSN": dsn}
        with self._log.open("ab") as log:
            self._began = log.tell()
            return subprocess.Popen([*COMMAND, *words, *options], stdout=log, stderr=log, env={**store, **environment})

    def call(self, *words: str, **environment: str) -> tuple[int, dict[str, Any]]:
        """Exit code, and what it wrote as JSON."""
        self.report.unlink(missing_ok=True)
        wanted = ["--json", str(self.report)] if words[-1] != "drop-old" else []
        code = self.start(*words, *wanted, **environment).wait() if wanted else self.start(*words, **environment).wait()
        return code, json.loads(self.report.read_text(encoding="utf-8")) if self.report.exists() else {}

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def phases(self) -> list[str]:
        """Through which of PHASES the newest call has come so far."""
        said = self._log.read_bytes()[self._began :].decode()
        return re.findall(rf" s  ({'|'.join(PHASES)})$", said, re.MULTILINE)


class LiveTraffic:
    """So many events a second, some runs spread over several seconds, until stopped. Counts its records."""

    def __init__(self, pipeline: Pipeline, *, events_per_s: int, seed: int) -> None:
        self._pipeline = pipeline
        self._events_per_s = events_per_s
        self._traffic = Traffic(seed, base_us=time.time_ns() // 1000 - 3_600_000_000)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.records = 0
        self.events = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._pipeline.stack.bootstrap, acks="all", linger_ms=5)
        await producer.start()
        waiting: list[Record] = []
        began = time.monotonic()
        try:
            while not self._stop.is_set():
                if len(waiting) < 50:
                    waiting += self._traffic.records(self._traffic.runs(20))
                    random.Random(self.records).shuffle(waiting)
                record = waiting.pop()
                value = codec.encode_record(record)
                await producer.send(self._pipeline.topic, value, key=record_key(record.project, record.events[0].run_id))
                self.records += 1
                self.events += len(record.events)
                await asyncio.sleep(max(0.0, began + self.events / self._events_per_s - time.monotonic()))
            await producer.flush()
        finally:
            await producer.stop()


class Readers:
    """The query service asked without pause over HTTP, and a session with prepared statements of its own. Errors are kept."""

    def __init__(self, pipeline: Pipeline, *, url: str, threads: int = 1, pause_s: float = 0.0) -> None:
        self._url = url
        self._dsn = pipeline.stack.dsn(database=pipeline.database, role="agenttracer_query")
        self._pause_s = pause_s  # leaves the other processes of a small machine some of it
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._hammer) for _ in range(threads)]
        self._threads.append(threading.Thread(target=lambda: asyncio.run(self._prepared())))
        self.errors: list[str] = []
        self.answers = 0
        self.slowest_s = 0.0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _hammer(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self._stop.wait(self._pause_s):
                runs = self._get(client, "/v1/runs?limit=5")
                self._get(client, "/v1/stats")
                for run in (runs or {}).get("runs", [])[:2]:
                    self._get(client, f"/v1/runs/{run['run_id']}/steps")
                    self._get(client, f"/v1/runs/{run['run_id']}/failures")

    def _get(self, client: httpx.Client, path: str) -> Any:
        began = time.monotonic()
        try:
            answer = client.get(path)
        except httpx.HTTPError as error:
            self.errors.append(type(error).__name__)
            return None
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        if answer.status_code != 200:
            self.errors.append(f"{answer.status_code} {path.partition('?')[0]}")
            return None
        self.answers += 1
        return answer.json()

    async def _prepared(self) -> None:
        connection = await asyncpg.connect(self._dsn, server_settings={"search_path": SCHEMA})
        await connection.execute("SET agenttracer.project = 'default'")
        counted = await connection.prepare("SELECT count(*) FROM runs_now")
        least = 0
        try:
            while not self._stop.is_set():
                found = await counted.fetchval()
                if found < least:
                    self.errors.append("runs vanished")
                least = found
                self.answers += 1
                await asyncio.sleep(self._pause_s)
        except asyncpg.PostgresError as error:
            self.errors.append(f"SQLSTATE {error.sqlstate}")
        finally:
            await connection.close()


def kill_rebuilds(
    pipeline: Pipeline, operator: Operator, *, kills: int, seed: int, latest: float = 1.1, options: tuple[str, ...] = ()
) -> list[str]:
    """Begin a rebuild and kill it, so many times: most while it fills, at a random share, those above 1 some time later."""
    rng = random.Random(seed)
    shares = sorted(rng.uniform(0.02, latest) for _ in range(kills))
    found = []
    for share in shares:
        command = operator.start("rebuild", "--no-swap", *options)
        _wait_filled(pipeline, command, share=min(share, 0.99))
        if share > 1:
            _pass_time(rng.uniform(0.0, 3.0))
        found.append(f"killed at {_filled(pipeline):.0%}")
        os.kill(command.pid, signal.SIGKILL)
        command.wait()
    return found


def kill_in_phase(operator: Operator, phase: str, *options: str) -> str:
    """Begin a rebuild that would swap, and kill it as soon as it says that it is in this phase. Answers where it was killed."""
    command = operator.start("rebuild", *options)
    until(
        lambda: command.poll() is not None or phase in operator.phases(),
        timeout_s=900,
        what=f"the rebuild is {phase}",
        every_s=0.01,
    )
    command.kill()
    return operator.phases()[-1] if command.wait() == -signal.SIGKILL else "not killed: it had ended"


def schema_id(pipeline: Pipeline, schema: str) -> int:
    """What a schema keeps when it is renamed."""
    return int(pipeline.sql("SELECT $1::text::regnamespace::oid::bigint AS id", schema)[0]["id"])


def _wait_filled(pipeline: Pipeline, command: subprocess.Popen[bytes], *, share: float) -> None:
    until(lambda: _filled(pipeline) >= share or command.poll() is not None, timeout_s=600, what="so much is filled")


def _pass_time(seconds: float) -> None:
    """When it is killed is what is tested; there is no condition to poll."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, timeout_s=seconds + 5, what="some time")


_FILLED = f"""
SELECT (SELECT coalesce(sum(upper(one) - lower(one)), 0) FROM {SCHEMA}_shadow.ingest_ledger, unnest(covered) AS one)::float8
    / greatest(1, (SELECT sum(value::bigint) FROM {SCHEMA}_shadow.rebuild_state, jsonb_each_text(targets)))::float8 AS share
"""


def _filled(pipeline: Pipeline) -> float:
    """The share of what is filled in bulk that the shadow covers; above 1 once it follows the log."""
    try:
        return float(pipeline.sql(_FILLED)[0]["share"])
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return 0.0


@contextmanager
def changed_rule(folder: Path) -> Iterator[dict[str, str]]:
    """An environment in which every Python process takes rate limits for timeouts."""
    (folder / "sitecustomize.py").write_text(
        "from dataclasses import replace\n"
        "from agenttracer.wire.vocabulary import FailureCode\n"
        "from stream_workers.core.failures import v1\n"
        "v1.V1 = replace(v1.V1, failed=tuple(\n"
        "    one._replace(code=FailureCode.TIMEOUT) if one.id == 'http.rate_limited' else one for one in v1.V1.failed\n"
        "))\n",
        encoding="utf-8",
    )
    root = Path(__file__).parents[2]
    yield {"PYTHONPATH": os.pathsep.join([str(folder), str(root), str(root / "sdk")])}
