import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import agenttracer_cli
from agenttracer_cli.app import app
from agenttracer_cli.errors import NotRunningError
from agenttracer_cli.foreground import AlreadyUpError, await_other, while_up
from agenttracer_cli.local.endpoints import PipelineEndpoints, write_endpoints
from agenttracer_cli.local.infrastructure import ExistingServers
from agenttracer_cli.local.local_pipeline import LocalPipeline, LocalPipelineSettings
from agenttracer_cli.local_stack.files import open_state_dir
from agenttracer_cli.status import ProcessState, read_status
from tests.unit.sdk.fake_gateway import FakeGateway

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have pointed the command at servers of their own."""
    for name in [name for name in os.environ if name.startswith("AGENTTRACER_")]:
        monkeypatch.delenv(name)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_the_help_page_names_every_subcommand_and_gives_examples() -> None:
    """In groups, without an option that nobody needs."""
    page = invoke("--help").output
    for word in ("up", "down", "status", "demo", "migrate", "topics", "keys", "Run", "Examples", "agenttracer up --workers 3"):
        assert word in page
    assert "completion" not in page


@pytest.mark.parametrize("subcommand", ["up", "down", "status", "demo", "migrate", "topics"])
def test_every_option_also_comes_from_the_environment(subcommand: str) -> None:
    """Its help page says by which name."""
    assert "AGENTTRACER_STATE_DIR" in invoke(subcommand, "--help").output.replace("\n", "")


def test_check_sends_one_run_and_says_where_it_went(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an agent in this environment would; its exit code is for scripts."""
    gateway = FakeGateway()
    try:
        done = invoke("check", "--url", gateway.url, "--query-url", "http://127.0.0.1:9")
    finally:
        gateway.close()
    assert done.exit_code == 0
    assert f"gateway   {gateway.url}" in done.output
    assert f"accepted  yes: run {gateway.events[0]['run_id']}" in done.output
    monkeypatch.setattr("agenttracer._check._FLUSH_S", 0.5)
    refused = invoke("check", "--url", "http://127.0.0.1:9")
    assert refused.exit_code == 1
    assert "connection refused" in refused.output


def test_status_of_nothing_is_exit_code_3(tmp_path: Path) -> None:
    """And the JSON says that both servers are stopped."""
    answer = invoke("status", "--json", "--state-dir", str(tmp_path))
    assert answer.exit_code == 3
    assert [(part["name"], part["state"]) for part in json.loads(answer.stdout)] == [
        ("kafka", "stopped"),
        ("postgres", "stopped"),
    ]


def test_down_with_nothing_up_is_fine(tmp_path: Path) -> None:
    """It is what scripts run first."""
    answer = invoke("down", "--state-dir", str(tmp_path))
    assert answer.exit_code == 0
    assert "nothing runs" in answer.output


def test_commands_that_start_nothing_make_no_state_directory(tmp_path: Path) -> None:
    """A misspelt `--state-dir` leaves nothing behind."""
    missing = tmp_path / "missing"
    for subcommand in (("down",), ("status",), ("keys", "list"), ("migrate",), ("retention", "show"), ("dlq", "list")):
        invoke(*subcommand, "--state-dir", str(missing))
        assert not missing.exists(), subcommand


def test_the_version_is_that_of_the_installed_distribution() -> None:
    """As packaging tools see it."""
    assert invoke("--version").output == f"agenttracer {metadata.version('agenttracer-platform')}\n"


def test_an_error_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    """`migrate` without a server says what to do."""
    code = "from agenttracer_cli import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", code, "migrate", "--state-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
    )
    assert run.returncode == agenttracer_cli.EXIT_FAILED
    assert run.stderr.count("\n") == 1
    assert "agenttracer up" in run.stderr


def test_the_pipeline_of_a_state_directory_is_brought_up_by_one_command_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is told so, and the first stops everything even when its work fails."""
    settings = LocalPipelineSettings(state_dir=open_state_dir(tmp_path), existing=ExistingServers(), workers=1)
    stopped = []
    monkeypatch.setattr(LocalPipeline, "start", lambda _: "endpoints")
    monkeypatch.setattr(LocalPipeline, "stop", lambda _: stopped.append(1))

    def work(_pipeline: LocalPipeline, endpoints: object) -> None:
        assert endpoints == "endpoints"
        with pytest.raises(AlreadyUpError):
            while_up(settings, work, report=lambda _: None)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        while_up(settings, work, report=lambda _: None)
    assert stopped == [1]


def test_who_waits_for_another_command_hears_when_that_one_is_gone(tmp_path: Path) -> None:
    """A command that failed to bring the pipeline up is not waited for."""
    with pytest.raises(NotRunningError):
        await_other(tmp_path)


def test_the_state_of_a_published_pipeline_names_every_part(tmp_path: Path) -> None:
    """Services that should run and do not are stopped; servers of somebody else are tried."""
    write_endpoints(
        tmp_path,
        PipelineEndpoints(
            gateway_url="http://127.0.0.1:1",
            query_url="http://127.0.0.1:1",
            worker_urls=("http://127.0.0.1:1", "http://127.0.0.1:1"),
            kafka_bootstrap="127.0.0.1:1,127.0.0.1:1",
            topic="t",
            postgres_address="127.0.0.1:1/tracer",
            local_kafka=False,
            local_postgres=False,
        ),
    )
    states = {part.name: part.state for part in read_status(tmp_path)}
    assert states == {
        "gateway": ProcessState.STOPPED,
        "query": ProcessState.STOPPED,
        "worker-1": ProcessState.STOPPED,
        "worker-2": ProcessState.STOPPED,
        "kafka": ProcessState.UNREACHABLE,
        "postgres": ProcessState.UNREACHABLE,
    }


def _commands() -> list[list[str]]:
    found: list[list[str]] = []
    waiting: list[tuple[list[str], Any]] = [([], typer.main.get_command(app))]
    while waiting:
        path, command = waiting.pop()
        found.append(path)
        waiting += [([*path, name], below) for name, below in getattr(command, "commands", {}).items()]
    return found


@pytest.mark.parametrize("path", _commands(), ids=" ".join)
def test_help_reads_well_at_80_columns(path: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cut: no option, no variable, no example."""
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    answer = CliRunner().invoke(app, [*path, "--help"])
    lines = answer.output.splitlines()
    assert answer.exit_code == 0
    assert max(map(len, lines)) <= 80
    assert "…" not in answer.output, answer.output
