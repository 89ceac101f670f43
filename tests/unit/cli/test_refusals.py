"""What the `agenttracer` command refuses before it does anything: exit code, one line, no value."""

import json
import logging
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from typer.testing import CliRunner

import agenttracer_cli
from agenttracer_cli import dead_letters, deletion, proof
from agenttracer_cli.admin.projects import ProjectRetention
from agenttracer_cli.app import app
from agenttracer_cli.errors import ProjectError, TopicError
from agenttracer_cli.json_file import json_file_at
from agenttracer_cli.local.infrastructure import ExistingServers
from agenttracer_cli.local.local_pipeline import LocalPipeline, LocalPipelineSettings
from agenttracer_cli.local_stack.kafka.server import KafkaServer
from agenttracer_cli.local_stack.ports import PortBook
from agenttracer_cli.local_stack.postgres.server import PostgresServer
from stream_workers.operations.deletion import DeletionResult
from stream_workers.operations.verify import Report

NOWHERE = "postgresql://owner@127.0.0.1:1/agenttracer"
SECRET = "hunter2"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AGENTTRACER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "500")


class Ended(NamedTuple):
    """What a call of the command came to."""

    code: object
    out: str
    err: str


Call = Callable[..., Ended]


@pytest.fixture
def agenttracer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """The command as from a shell: its arguments, and variables of its environment."""

    def call(*arguments: str, **environment: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["agenttracer", *arguments])
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            agenttracer_cli.main()
        return Ended(ended.value.code, *capsys.readouterr())

    yield call
    for library in ("aiokafka", "asyncio"):
        logging.getLogger(library).setLevel(logging.NOTSET)


def refused(run: Ended, *words: str) -> None:
    """Exit code 2 with one line that has these words, and no secret."""
    assert run.code == agenttracer_cli.EXIT_WRONG_SETTINGS, run.err
    assert run.err.count("\n") == 1, run.err
    assert all(word in run.err for word in words), run.err
    assert SECRET not in run.out + run.err


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"PROTOCOL": "SASL_SSL", "PASSWORD": SECRET}, "username and password"),
        ({"PROTOCOL": SECRET}, "AGENTTRACER_KAFKA_SECURITY__PROTOCOL"),
        ({"PROTOCOL": "SSL", "CA_FILE": f"/nowhere/{SECRET}"}, "CA_FILE"),
    ],
)
def test_unsound_kafka_settings_are_one_line_without_values(
    agenttracer: Call, tmp_path: Path, settings: dict[str, str], word: str
) -> None:
    """Neither the password nor the path of a file."""
    variables = {f"AGENTTRACER_KAFKA_SECURITY__{name}": value for name, value in settings.items()}
    refused(agenttracer("topics", "--kafka", "h:1", "--state-dir", str(tmp_path), **variables), word)


def test_kafka_settings_that_are_no_json_are_one_line(agenttracer: Call, tmp_path: Path) -> None:
    """The JSON itself may hold a password."""
    run = agenttracer(
        "topics", "--kafka", "h:1", "--state-dir", str(tmp_path), AGENTTRACER_KAFKA_SECURITY='{"password":"hunter2"'
    )
    refused(run, "AGENTTRACER_KAFKA_SECURITY is not JSON")


@pytest.mark.parametrize("way", ["option", "environment"])
def test_an_unsound_address_is_refused_where_it_is_read(agenttracer: Call, tmp_path: Path, way: str) -> None:
    """From the command line and from the environment alike."""
    address = f"postgresql://owner:{SECRET}/#1@db/x"
    where = ("--postgres", address) if way == "option" else ()
    environment = {} if way == "option" else {"AGENTTRACER_POSTGRES_DSN": address}
    refused(agenttracer("keys", "list", *where, "--state-dir", str(tmp_path), **environment), "--postgres", "percent-encode")
    where, environment = ((), {"AGENTTRACER_KAFKA_BOOTSTRAP": SECRET + ":x"})
    refused(agenttracer("topics", *where, "--state-dir", str(tmp_path), **environment), "AGENTTRACER_KAFKA_BOOTSTRAP")


@pytest.mark.parametrize("address", [f"postgresql://owner:{SECRET}@db/x", f"postgresql://owner@db/x?password={SECRET}"])
def test_a_password_on_the_command_line_is_refused(agenttracer: Call, tmp_path: Path, address: str) -> None:
    """Whoever lists processes would read it; the error says where it can stand, and does not say it again."""
    for command in (("up",), ("migrate",), ("keys", "list")):
        refused(agenttracer(*command, "--postgres", address, "--state-dir", str(tmp_path)), "AGENTTRACER_POSTGRES_DSN")
    assert not list(tmp_path.iterdir())


def test_an_unexpected_error_is_its_class_and_its_place(agenttracer: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 70; the message, which may hold anything, is not shown."""

    def fail() -> None:
        raise ValueError(SECRET) from KeyError(SECRET)

    monkeypatch.setattr(agenttracer_cli, "app", fail)
    ended = agenttracer()
    assert ended.code == agenttracer_cli.EXIT_FAULT
    assert "ValueError at" in ended.err
    assert "test_refusals.py:" in ended.err
    assert SECRET not in ended.err + ended.out


def test_options_before_a_subcommand_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rebuild --postgres B drop-old` would drop the old store of another database."""
    dropped: list[str] = []

    async def drop_old(dsn: str) -> bool:
        dropped.append(dsn)
        return True

    monkeypatch.setattr(proof, "drop_old", drop_old)
    where = ("--postgres", NOWHERE, "--state-dir", str(tmp_path))
    answer = CliRunner().invoke(app, ["rebuild", *where, "drop-old"])
    assert answer.exit_code == 2
    assert "--postgres" in answer.output
    assert dropped == []
    assert CliRunner().invoke(app, ["rebuild", "drop-old", *where]).exit_code == 0
    monkeypatch.setenv("AGENTTRACER_POSTGRES_DSN", NOWHERE)
    assert CliRunner().invoke(app, ["rebuild", "drop-old", "--state-dir", str(tmp_path)]).exit_code == 0
    assert dropped == [NOWHERE, NOWHERE]


def test_only_rebuild_has_options_before_its_subcommands() -> None:
    """Another group with options of its own must refuse them before a subcommand, too."""
    groups = {group.name for group in app.registered_groups if group.typer_instance and _options_of(group.typer_instance)}
    assert groups == {"rebuild"}


def _options_of(group: Any) -> list[str]:
    callback = group.registered_callback
    return list(callback.callback.__annotations__.keys() - {"return"}) if callback and callback.callback else []


def test_verify_takes_run_ids_only(tmp_path: Path) -> None:
    """Something else is in no topic, and equal to nothing."""
    answer = CliRunner().invoke(app, ["verify", "--run", "not-a-uuid", "--state-dir", str(tmp_path)])
    assert answer.exit_code == 2


def verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, report: Report, *arguments: str) -> Any:
    async def verify(*_: object, **__: object) -> Report:
        return report

    monkeypatch.setattr(proof, "_verify", verify)
    return CliRunner().invoke(app, ["verify", "--state-dir", str(tmp_path), *arguments])


def test_a_run_that_is_nowhere_is_no_proof(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Exit code 2, and no JSON that says equal; one that is only in the store is another matter."""
    one, file = ("--run", str(uuid.uuid4())), tmp_path / "found.json"
    answer = verified(monkeypatch, tmp_path, Report("t", "id", []), *one, "--json", str(file))
    assert answer.exit_code == 2, answer.output
    assert "neither the topic nor the store" in answer.output
    assert "equal" not in answer.output
    assert not file.exists()
    assert verified(monkeypatch, tmp_path, Report("t", "id", [], differences=1), *one).exit_code == 1
    assert verified(monkeypatch, tmp_path, Report("t", "id", [], runs_out_of_reach=1), *one).exit_code == 0
    assert verified(monkeypatch, tmp_path, Report("t", "id", [], runs_compared=1), *one).exit_code == 0
    assert verified(monkeypatch, tmp_path, Report("t", "id", [])).exit_code == 0


def test_a_json_file_that_cannot_be_written_is_refused_before_the_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Exit code 2: 1 would say that the store differs."""
    file = tmp_path / "no" / "such" / "folder.json"

    async def work(*_: object, **__: object) -> None:
        raise AssertionError("begun")

    for name, subcommand in (("_verify", "verify"), ("_rebuild", "rebuild")):
        monkeypatch.setattr(proof, name, work)
        answer = CliRunner().invoke(app, [subcommand, "--json", str(file), "--state-dir", str(tmp_path)])
        assert answer.exit_code == 2
        assert "--json" in answer.output
        assert str(file) not in answer.output
        assert "begun" not in str(answer.exception)


def test_a_json_file_holds_the_newest_document_alone(tmp_path: Path) -> None:
    """What stood there is kept until there is something new."""
    file = tmp_path / "found.json"
    file.write_text("old and longer than what comes")
    write = json_file_at(file)
    assert file.read_text().startswith("old")
    write({"new": 1})
    assert json.loads(file.read_text()) == {"new": 1}
    for path in (Path(os.devnull), None):
        json_file_at(path)({})


def test_a_json_file_is_not_there_before_it_is_written(tmp_path: Path) -> None:
    """Whoever is killed meanwhile leaves no empty answer; a folder is no file."""
    file = tmp_path / "found.json"
    json_file_at(file)
    assert not file.exists()
    with pytest.raises(typer.Exit):
        json_file_at(tmp_path)


@pytest.mark.parametrize("arguments", [("show",), ("retry",)])
def test_a_place_without_a_dead_letter_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Exit code 2: nothing was shown, nothing was stored."""

    async def none(*_: object, **__: object) -> list[object]:
        return []

    monkeypatch.setattr(dead_letters, "find_letters", none)
    where = ("--postgres", NOWHERE, "--state-dir", str(tmp_path))
    answer = CliRunner().invoke(app, ["dlq", *arguments, "0/99999", *where])
    assert answer.exit_code == 2, answer.output
    assert "no such dead letter" in answer.output
    for impossible in ("1", "-1/1", "2147483648/0", "0/9223372036854775808", "³/1"):
        assert CliRunner().invoke(app, ["dlq", *arguments, *where, "--", impossible]).exit_code == 2
    everything = CliRunner().invoke(app, ["dlq", "retry", "--all", *where])
    assert everything.exit_code == 0
    assert "no dead letters" in everything.output


KNOWN_RUN = uuid.UUID(int=7)


class FakeStore:
    """Knows one project, and what was asked of it."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []

    async def refuse_unknown(self, _dsn: str, project: str) -> None:
        """As the store would."""
        if project != "shop":
            raise ProjectError("unknown")

    async def refuse_unknown_run(self, _dsn: str, project: str, run_id: uuid.UUID) -> None:
        """As the store would."""
        if (project, run_id) != ("shop", KNOWN_RUN):
            raise ProjectError("unknown")

    async def remove_run(self, _dsn: str, project: str, run_id: str) -> DeletionResult:
        """Remember it."""
        self.done.append(("remove", project, run_id))
        return DeletionResult(0)

    async def list_retention(self, _dsn: str) -> list[ProjectRetention]:
        """One project has a retention."""
        return [ProjectRetention("shop", 30, 400)]

    async def remove(self, _dsn: str, project: str) -> DeletionResult:
        """Remember it."""
        self.done.append(("remove", project))
        return DeletionResult(0)

    async def keep(self, _dsn: str, project: str, days: int | None, *, statistics_days: int | None) -> None:
        """Remember it."""
        self.done.append(("keep", project, days, statistics_days))


@pytest.fixture
def fake_store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    store = FakeStore()
    monkeypatch.setattr(deletion, "refuse_unknown_project", store.refuse_unknown)
    monkeypatch.setattr(deletion, "refuse_unknown_run", store.refuse_unknown_run)
    monkeypatch.setattr(deletion, "list_retention", store.list_retention)
    monkeypatch.setattr(deletion, "remove_run", store.remove_run)
    monkeypatch.setattr(deletion, "remove_project", store.remove)
    monkeypatch.setattr(deletion, "set_retention", store.keep)
    return store


@pytest.mark.parametrize(
    "arguments",
    [
        ("delete", "run", "shop", str(uuid.UUID(int=8))),
        ("delete", "run", "Typo", str(KNOWN_RUN)),
        ("retention", "show", "--project", "Typo"),
        ("delete", "project", "Typo", "--yes"),
        ("delete", "project", "no such name!", "--yes", "--force"),
        ("retention", "set", "Typo", "30"),
        ("retention", "set", "no such name!", "30", "--force"),
        ("retention", "set", "shop"),
        ("retention", "set", "shop", "0"),
        ("retention", "set", "shop", "36501"),
        ("retention", "set", "shop", "ever"),
        ("retention", "set", "shop", "30", "--statistics-days", "29"),
        ("retention", "set", "shop", "30", "--statistics-days", "0"),
        ("retention", "set", "shop", "forever", "--statistics-days", "30"),
    ],
)
def test_what_a_typing_error_would_remove_or_keep_is_refused(
    tmp_path: Path, fake_store: FakeStore, arguments: tuple[str, ...]
) -> None:
    """Unknown projects, what is no name, and a retention that nobody said: exit code 2, nothing done, no name repeated."""
    answer = CliRunner().invoke(app, [*arguments, "--postgres", NOWHERE, "--state-dir", str(tmp_path)])
    assert answer.exit_code == 2, answer.output
    assert fake_store.done == []
    assert "no such name!" not in answer.output


def test_what_is_meant_is_done(tmp_path: Path, fake_store: FakeStore) -> None:
    """A known project, or `--force`; for ever by its word."""
    where = ("--postgres", NOWHERE, "--state-dir", str(tmp_path))
    for arguments in (
        ("delete", "run", "shop", str(KNOWN_RUN)),
        ("delete", "run", "shop", str(uuid.UUID(int=8)), "--force"),
        ("delete", "project", "shop", "--yes"),
        ("delete", "project", "new", "--yes", "--force"),
        ("retention", "set", "shop", "30"),
        ("retention", "set", "shop", "30", "--statistics-days", "400"),
        ("retention", "set", "new", "forever", "--force"),
    ):
        assert CliRunner().invoke(app, [*arguments, *where]).exit_code == 0
    runs = [("remove", "shop", str(run_id)) for run_id in (KNOWN_RUN, uuid.UUID(int=8))]
    kept = [("keep", "shop", 30, None), ("keep", "shop", 30, 400), ("keep", "new", None, None)]
    assert fake_store.done == [*runs, ("remove", "shop"), ("remove", "new"), *kept]


def test_retention_show_prints_what_is_set(tmp_path: Path, fake_store: FakeStore) -> None:
    """As a table, and as JSON for programs."""
    where = ("--postgres", NOWHERE, "--state-dir", str(tmp_path))

    table = CliRunner().invoke(app, ["retention", "show", *where])
    assert (table.exit_code, table.stdout.split()) == (0, ["project", "days", "statistics", "shop", "30", "400"])
    everything = CliRunner().invoke(app, ["retention", "show", "--json", *where])
    assert json.loads(everything.stdout) == [{"project": "shop", "days": 30, "statistics_days": 400}]
    assert fake_store.done == []


def test_an_unknown_project_is_refused_before_anybody_is_asked(tmp_path: Path, fake_store: FakeStore) -> None:
    """Nobody confirms a typing error."""
    answer = CliRunner().invoke(app, ["delete", "project", "Typo", "--postgres", NOWHERE, "--state-dir", str(tmp_path)])
    assert answer.exit_code == 2
    assert "for good?" not in answer.output
    assert fake_store.done == []


@pytest.mark.parametrize("arguments", [("topics",), ("migrate",), ("keys", "list")])
def test_what_never_ran_is_said_to_be_so(agenttracer: Call, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Of Kafka as of PostgreSQL."""
    run = agenttracer(*arguments, "--state-dir", str(tmp_path))
    assert run.code == agenttracer_cli.EXIT_FAILED
    assert run.err.count("\n") == 1
    assert "was never started here; run `agenttracer up`" in run.err


def test_status_makes_no_state_directory(tmp_path: Path) -> None:
    """Whoever mistypes it hears that nothing runs, and finds nothing new."""
    answer = CliRunner().invoke(app, ["status", "--json", "--state-dir", str(tmp_path / "typo")])
    assert answer.exit_code == 3
    assert [part["state"] for part in json.loads(answer.stdout)] == ["stopped", "stopped"]
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    ("variable", "value", "options"),
    [
        ("AGENTTRACER_KEY_PEPPER", "hunter2", ()),
        ("AGENTTRACER_STATEDIR", "hunter2", ()),
        ("AGENTTRACER_GATEWAY_PROT", "hunter2", ()),
        ("AGENTTRACER_API_URI", "hunter2", ()),
        ("AGENTTRACER_START_LIMIT_S", "hunter2", ()),
        ("AGENTTRACER_GATEWAY_PORT", "99999", ()),
        ("AGENTTRACER_QUERY_PORT", "0", ()),
        ("AGENTTRACER_QUERY_PORT", "hunter2", ()),
        ("AGENTTRACER_WORKER_PORT", "65535", ("--workers", "2")),
        ("AGENTTRACER_WORKER_POSTGRES_DSN", "postgresql://o:hunter2/#@db/x", ("--postgres", NOWHERE)),
        ("AGENTTRACER_KAFKA_SECURITY__PROTOCOL", "hunter2", ("--kafka", "h:1")),
    ],
)
def test_up_starts_nothing_with_unsound_settings(
    agenttracer: Call, tmp_path: Path, variable: str, value: str, options: tuple[str, ...]
) -> None:
    """Refused before a server is started, and without stopping one that runs."""
    run = agenttracer("up", "--state-dir", str(tmp_path), *options, **{variable: value})
    refused(run, variable)
    assert not (tmp_path / "logs").exists()
    assert "starting" not in run.out
    assert "stopped" not in run.out


def test_unsound_settings_stop_nothing_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that another command left running are not this one's to end."""
    stopped: list[int] = []
    monkeypatch.setattr(LocalPipeline, "stop", lambda _: stopped.append(1))
    monkeypatch.setenv("AGENTTRACER_GATEWAY_PORT", "70000")
    answer = CliRunner().invoke(app, ["up", "--state-dir", str(tmp_path)])
    assert "AGENTTRACER_GATEWAY_PORT" in str(answer.exception)
    assert stopped == []


@pytest.mark.parametrize("failing", [True, False])
def test_a_start_that_fails_stops_only_what_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: bool) -> None:  # noqa: FBT001
    """A Kafka or PostgreSQL that was found running goes on; after a start that succeeded everything is stopped."""
    stopped: list[str] = []
    settings = LocalPipelineSettings(state_dir=tmp_path, existing=ExistingServers(), workers=1)
    pipeline = LocalPipeline(settings, report=lambda _: None)
    stack = pipeline.infrastructure.stack

    async def refuse(*_: object, **__: object) -> None:
        raise TopicError("another shape")

    monkeypatch.setattr(KafkaServer, "start", lambda _: False)
    monkeypatch.setattr(PostgresServer, "start", lambda _: True)
    for server in (KafkaServer, PostgresServer):
        monkeypatch.setattr(server, "stop", lambda self: stopped.append(self.name) or True)
    monkeypatch.setattr(KafkaServer, "bootstrap", "h:1")
    monkeypatch.setattr("agenttracer_cli.local.local_pipeline.ensure_topic", refuse)
    if failing:
        with pytest.raises(TopicError):
            pipeline.start()
    pipeline.stop()
    assert sorted(stopped) == (["postgres"] if failing else sorted(server.name for server in stack.servers))


def test_a_remembered_port_out_of_range_is_none(tmp_path: Path) -> None:
    """A damaged file costs a port, not the start."""
    (tmp_path / "ports").mkdir()
    (tmp_path / "ports" / "kafka").write_text("70000")
    assert PortBook(tmp_path).remembered("kafka") is None
