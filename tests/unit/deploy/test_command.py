import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deploy import command
from deploy.command.app import app
from deploy.command.foreground import AlreadyUpError, await_other, while_up
from deploy.command.state import State, look
from deploy.endpoints import PipelineEndpoints, write_endpoints
from deploy.errors import NotRunningError
from deploy.infrastructure import Existing
from deploy.local_stack.files import open_state_dir
from deploy.pipeline import Pipeline, PipelineSettings

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


def test_an_error_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    """`migrate` without a server says what to do."""
    code = "from deploy.command import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", code, "migrate", "--state-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
    )
    assert run.returncode == command.EXIT_FAILED
    assert run.stderr.count("\n") == 1
    assert "agenttracer up" in run.stderr


def test_the_pipeline_of_a_state_directory_is_brought_up_by_one_command_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is told so, and the first stops everything even when its work fails."""
    settings = PipelineSettings(state_dir=open_state_dir(tmp_path), existing=Existing(), workers=1)
    stopped = []
    monkeypatch.setattr(Pipeline, "start", lambda _: "endpoints")
    monkeypatch.setattr(Pipeline, "stop", lambda _: stopped.append(1))

    def work(_pipeline: Pipeline, endpoints: object) -> None:
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
    states = {part.name: part.state for part in look(tmp_path)}
    assert states == {
        "gateway": State.STOPPED,
        "query": State.STOPPED,
        "worker-1": State.STOPPED,
        "worker-2": State.STOPPED,
        "kafka": State.UNREACHABLE,
        "postgres": State.UNREACHABLE,
    }
