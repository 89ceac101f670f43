"""Another taxonomy beside the store: what would change, and nothing does."""

import asyncio
import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from typer.testing import CliRunner

from agenttracer.wire.envelope import Producer, Record
from agenttracer.wire.events import Event, Evidence, FailureRecorded, RunFinished, StepFinished
from agenttracer.wire.vocabulary import FailureType, RunEnd, StepKind, StepStatus
from agenttracer_cli.app import app
from ddl.migrate import SCHEMA
from stream_workers.core.fold import Tables
from stream_workers.pipeline.decode import canonical_json
from stream_workers.store.batch import Received, Topic, make_batch
from stream_workers.store.postgres import PostgresStore
from stream_workers.store.read_tables import differences, read_tables

AT = 1_790_000_000_000_000
SINCE = "2026-01-01"
CONFLICTS = """
remove = ["quiet.empty_retrieval"]
[[rule]]
id = "http.teapot"
code = "teapot"
before = "http.invalid_input"
when = { http_status = [418] }
[[rule]]
id = "class.timeout"
code = "slow"
type = "model"
when = { error_class_has = ["Timeout"] }
"""


def _run(number: int) -> str:
    return str(uuid.UUID(int=number))


def _step(run: int, number: int, **said: object) -> StepFinished:
    given = {
        "run_id": _run(run),
        "seq": number,
        "step_id": f"{number:016x}",
        "kind": StepKind.TOOL,
        "name": "search",
        "started_at": AT + number,
        "duration_us": 10,
        "status": StepStatus.ERROR,
    }
    return StepFinished(**{**given, **said})


_EVENTS: tuple[Event, ...] = (
    _step(1, 1, evidence=Evidence(http_status=418)),
    _step(2, 2, evidence=Evidence(http_status=418)),
    _step(2, 3, evidence=Evidence(error_class="ReadTimeout")),
    _step(2, 4, evidence=Evidence(http_status=503)),  # named alike by both
    _step(3, 5, kind=StepKind.RETRIEVE, status=StepStatus.OK, metadata={"result_count": 0}),
    _step(3, 6, evidence=Evidence(http_status=418), cause_step_id=f"{5:016x}"),  # on its way
    _step(4, 7, evidence=Evidence(http_status=418)),  # of which the agent's code said more
    FailureRecorded(
        run_id=_run(4),
        seq=8,
        failure_id=f"{7:016x}",
        occurred_at=AT,
        failure_type=FailureType.TOOL,
        failure_code="mine",
        step_id=f"{7:016x}",
    ),
    RunFinished(run_id=_run(5), seq=9, ended_at=AT, status=RunEnd.FAILURE, emitted=0, evidence=Evidence(error_class="MyTimeout")),
)


@pytest.fixture
def filled(migrated_dsn: dict[str, str]) -> str:
    """The owner's DSN of a store that holds these runs."""
    producer = Producer(id="p", agent="a", agent_version="1")
    records = [
        Record(v="1.0", project="default", producer=producer, received_at=AT, events=tuple(e for e in _EVENTS if e.run_id == run))
        for run in sorted({event.run_id for event in _EVENTS})
    ]
    received = [Received(0, offset, 100, None, record, None) for offset, record in enumerate(records)]

    async def save() -> None:
        store = PostgresStore(migrated_dsn["worker"], transaction_timeout_s=30)
        await store.save(Topic("t", uuid.UUID(int=7)), make_batch(received, canonical_json))
        await store.close()

    asyncio.run(save())
    return migrated_dsn["owner"]


def _tables(dsn: str) -> Tables:
    async def read() -> Tables:
        connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA, "timezone": "UTC"})
        try:
            return await read_tables(connection)
        finally:
            await connection.close()

    return asyncio.run(read())


def _diff(dsn: str, folder: Path, *arguments: str) -> dict[str, object]:
    (folder / "mine.toml").write_text(CONFLICTS)
    options = ["--since", SINCE, "--state-dir", str(folder), "--json"]
    done = CliRunner(env={"AGENTTRACER_POSTGRES_DSN": dsn}).invoke(app, ["taxonomy", "diff", *arguments, *options])
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_the_changes_are_counted_with_runs_to_look_at(filled: str, tmp_path: Path) -> None:
    """From, to, how often and where; what both name alike is a number; recorded and passed-on errors are not asked about."""
    found = _diff(filled, tmp_path, "1", str(tmp_path / "mine.toml"))
    assert found == {
        "same": 1,
        "changes": [
            {"before": "tool/invalid_input", "after": "tool/teapot", "count": 2, "runs": [_run(1), _run(2)]},
            {"before": "orchestration/timeout", "after": "model/slow", "count": 1, "runs": [_run(5)]},
            {"before": "retrieval/empty_retrieval", "after": "-", "count": 1, "runs": [_run(3)]},
            {"before": "tool/timeout", "after": "model/slow", "count": 1, "runs": [_run(2)]},
        ],
    }


def test_a_taxonomy_agrees_with_itself_and_with_what_is_stored(filled: str, tmp_path: Path) -> None:
    """No change between equal ones, and as many failures as the store has of its own finding."""
    found = sum(row.failure_rank > 0 for row, _ in _tables(filled).failures.values())
    assert _diff(filled, tmp_path, "1", "1") == {"same": found, "changes": []}


def test_comparing_writes_nothing(filled: str, tmp_path: Path) -> None:
    """The store is the same afterwards, row for row."""
    before = _tables(filled)
    _diff(filled, tmp_path, "1", str(tmp_path / "mine.toml"))
    assert differences(before, _tables(filled)) == []


@pytest.mark.parametrize("arguments", [["2", "1"], ["1", "nowhere.toml"]])
def test_an_unknown_taxonomy_is_wrong_usage(arguments: list[str], tmp_path: Path) -> None:
    """Neither a name of this release nor a file: nothing is started."""
    done = CliRunner().invoke(app, ["taxonomy", "diff", *arguments, "--since", SINCE, "--state-dir", str(tmp_path)])
    assert done.exit_code == 2


@pytest.mark.parametrize(
    "broken", [lambda dsn: f"{dsn}_gone", lambda dsn: re.sub(r":\d+/", ":1/", dsn)], ids=["no-database", "no-server"]
)
def test_a_store_that_is_away_is_one_line(migrated_dsn: dict[str, str], tmp_path: Path, broken: Callable[[str], str]) -> None:
    """Exit code 2, nothing on standard output, no traceback, and no password of the URL."""
    dsn = broken(migrated_dsn["owner"])
    done = CliRunner(env={"AGENTTRACER_POSTGRES_DSN": dsn}).invoke(
        app, ["taxonomy", "diff", "1", "1", "--since", SINCE, "--state-dir", str(tmp_path), "--json"]
    )
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert isinstance(done.exception, SystemExit), "typer's own exit, not an error that nobody caught"
    assert len(done.stderr.splitlines()) == 1
    assert (urlsplit(dsn).password or "agenttracer_owner:") not in done.stderr
