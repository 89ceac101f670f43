"""The subcommands that read (`agenttracer runs`, `show`, `compare`, `explain` …) against a query service over the fake store."""

import asyncio
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

from agenttracer_cli.app import app
from agenttracer_cli.demo.errors import QueryApiError
from agenttracer_cli.demo.query_api import QueryApi, ServerEvent
from agenttracer_cli.errors import DeployError, SettingsError
from agenttracer_cli.reading import tail
from agenttracer_cli.reading.options import time_of
from agenttracer_cli.reading.rules import rule_of, verdicts
from agenttracer_cli.reading.tables import spark_line
from query_service.app import create_app
from query_service.prices.table import SHIPPED
from query_service.settings import QuerySettings
from query_service.testing import FakeStore
from query_service.testing_rows import DEFAULT_RUN, FailureSeed, RunRollupSeed, RunSeed, StepSeed
from servicekit.auth.keys import Scope
from servicekit.testing import MemoryKeys, cache_of
from tests.support.served import served

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
FAILED: dict[str, Any] = {"status": "failure", "failure_type": "tool", "failure_code": "timeout"}
ROWS = (
    RunSeed(declared_started_at=NOW - MINUTE),
    StepSeed(started_at=NOW - MINUTE, name="search", duration_us=5_000),
    FailureSeed(occurred_at=NOW - MINUTE, fingerprint="a" * 16, step_id="0" * 15 + "1"),
    *(RunSeed(run_id=UUID(int=n), declared_started_at=NOW - 90 * MINUTE, agent="odd-bot" if n < 6 else "bot") for n in range(14)),
    *(StepSeed(run_id=UUID(int=n), started_at=NOW - 90 * MINUTE, metadata={"model": "small"}) for n in range(6)),
    *(
        RunRollupSeed(minute=NOW - MINUTE, agent_version=version, runs=1_000 - n)
        for version, n in (("1", 50), ("2", 150), ("3", 52))
    ),
    *(
        RunRollupSeed(minute=NOW - MINUTE, agent_version=version, runs=n, **FAILED)
        for version, n in (("1", 50), ("2", 150), ("3", 52))
    ),
)


@pytest.fixture(scope="module")
def service() -> Iterator[dict[str, str]]:
    """Address and key of a query service."""
    keys = MemoryKeys()
    key, ring = keys.create(Scope.READ), cache_of(keys)
    asyncio.run(ring.refresh())
    with served(create_app(QuerySettings(), FakeStore(*ROWS), keys=ring)) as url:
        yield {"AGENTTRACER_READ_URL": url, "AGENTTRACER_READ_KEY": key}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AGENTTRACER_")]:
        monkeypatch.delenv(name)


def ran(service: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env=service)


@pytest.mark.parametrize(
    ("command", "member"),
    [
        (("runs", "--since", "1h"), "runs"),
        (("failures",), "groups"),
        (("stats",), "agents"),
        (("show", str(DEFAULT_RUN)), "steps"),
    ],
)
def test_what_is_stored_is_shown(service: dict[str, str], command: tuple[str, ...], member: str) -> None:
    """As a table for people, and as the API's own answer for scripts."""
    table = ran(service, *command)
    assert (table.exit_code, "support-bot" in table.output or "timeout" in table.output) == (0, True), table.output
    document = json.loads(ran(service, *command, "--json").stdout)
    assert document[member]


def test_what_runs_share_is_shown(service: dict[str, str]) -> None:
    """As a table of what is sure, and as the API's own answer; filters are given by name, each once."""
    found = ran(service, "explain", "agent_id=odd-bot", "--within", "project")
    assert (found.exit_code, "small" in found.output, "6 against 9 runs" in found.output) == (0, True, True), found.output
    document = json.loads(ran(service, "explain", "--agent", "odd-bot", "--within", "project", "--json").stdout)
    assert {"model": "small"} in [one["filter"] for one in document["attributes"] if one["significant"]]
    for wrong in (("status",), ("agent_id=a", "--agent", "b")):
        assert "NAME=VALUE" in str(ran(service, "explain", *wrong).exception)


def test_runs_are_shown_as_they_start(service: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As lines, and as JSON; after a break from where it was, which is said, and refused at once where it never began."""
    asked: list[dict[str, str]] = []

    def events(_api: QueryApi, _path: str, **parameters: str) -> Iterator[ServerEvent]:
        asked.append(parameters)
        if len(asked) > 2:
            raise KeyboardInterrupt
        run = json.loads(ran(service, "show", str(DEFAULT_RUN), "--json").stdout)["run"]
        yield ServerEvent("run", json.dumps({**run, "change": "started"}), "17")
        yield ServerEvent("dropped", json.dumps({"dropped": 3, "dropped_total": 3}), None)
        raise QueryApiError("broken off")

    with monkeypatch.context() as patched:
        patched.setattr(QueryApi, "events", events)
        patched.setattr(tail, "_AGAIN_S", 0.0)
        found = ran(service, "tail", "status=running", "--agent", "support-bot")
        assert found.stdout.count(str(DEFAULT_RUN)) == 2
        assert found.stderr.count("3 runs were too many to show") == 2
        assert asked[:2] == [one := {"status": "running", "agent_id": "support-bot"}, {**one, "last_event_id": "17"}]
        asked.clear()
        assert json.loads(ran(service, "tail", "--json").stdout.splitlines()[0])["change"] == "started"
    assert "unknown parameter" in str(ran(service, "tail", "since=1h").exception)


def test_runs_are_written_to_a_file(service: dict[str, str], tmp_path: Path) -> None:
    """Or to standard output, as the service sends them."""
    file = tmp_path / "runs.jsonl"
    assert ran(service, "export", "--format", "jsonl", "--to", str(file)).exit_code == 0
    lines = file.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["run_id"] == str(DEFAULT_RUN)
    table = ran(service, "export", "--since", "1h").stdout
    assert table.startswith("run_id,agent_id,")
    assert str(DEFAULT_RUN) in table
    assert isinstance(ran(service, "export", "--to", str(tmp_path)).exception, SettingsError)


def test_a_refusal_is_one_line(service: dict[str, str]) -> None:
    """With the service's own words, and nothing of the key."""
    for environment, words in (
        ({**service, "AGENTTRACER_READ_KEY": "atk_wrong"}, "401"),
        ({**service, "AGENTTRACER_READ_URL": "http://127.0.0.1:1"}, "is it up?"),
        ({**service, "AGENTTRACER_READ_URL": "ftp://x"}, "http://"),
    ):
        error = ran(environment, "runs").exception
        assert isinstance(error, DeployError)
        assert words in str(error)
        assert "wrong" not in str(error)
    assert "status must be one of" in str(ran(service, "runs", "--status", "odd").exception)


def test_times_are_given_as_people_say_them() -> None:
    """How long ago, or with an offset; anything else is refused."""
    ago = datetime.fromisoformat(time_of("90m", option="--since") or "")
    assert abs(datetime.now(UTC) - ago - timedelta(minutes=90)) < timedelta(minutes=1)
    assert time_of("2026-01-31T12:00:00Z", option="--since") == "2026-01-31T12:00:00+00:00"
    for text in ("yesterday", "2026-01-31T12:00:00", "5w"):
        with pytest.raises(SettingsError, match="--since"):
            time_of(text, option="--since")


@pytest.mark.parametrize(
    ("b", "options", "code"),
    [
        ("@2", ("--fail-on", "failure_rate>+2pp"), 1),
        ("@3", ("--fail-on", "failure_rate>+2pp"), 0),
        ("@2", ("--fail-on", "failure_rate>+50pp"), 0),
        ("@2", (), 0),
        ("@2", ("--fail-on", "failure_rate>+2pp", "--min-runs", "1001"), 3),
        ("@2", ("--fail-on", "failure_rate"), 2),
        ("@2", ("--fail-on", "failure_rate>+2ms"), 2),
        ("@2", ("--fail-on", "no_such>+2pp"), 2),
    ],
)
def test_the_exit_code_of_a_comparison(service: dict[str, str], b: str, options: tuple[str, ...], code: int) -> None:
    """A seeded regression is found, an unchanged version is not, and what cannot be said is not said."""
    found = ran(service, "compare", "support-bot@1", f"support-bot{b}", "--since", "1h", *options)
    assert found.exit_code == code, found.output


def test_sides_have_further_filters(service: dict[str, str]) -> None:
    """Those of a list, each side its own; two ids are two runs."""
    found = json.loads(ran(service, "compare", "@", "@", "--a", "agent_id=odd-bot", "--b", "model=small", "--json").stdout)
    assert (found["source"], found["a"]["runs"], found["b"]["runs"]) == ("runs", 6, 6)
    assert (found["a"]["filters"], found["b"]["filters"]) == ({"agent_id": "odd-bot"}, {"model": "small"})
    runs = (str(UUID(int=1)), str(DEFAULT_RUN))
    assert "diverges_at" in json.loads(ran(service, "compare", *runs, "--json").stdout)
    assert "tool search" in ran(service, "compare", *runs).output


def test_a_comparison_is_written_for_machines(service: dict[str, str], tmp_path: Path) -> None:
    """JSON with the verdicts, and rules as tests of a JUnit file: broken ones fail, too few runs are skipped."""
    file = tmp_path / "compare.xml"
    rules = ("--fail-on", "failure_rate>+2pp", "--fail-on", "p95_ms>+10%", "--junit", str(file), "--json")
    found = ran(service, "compare", "support-bot@1", "support-bot@2", "--since", "1h", *rules)
    assert [one["broken"] for one in json.loads(found.stdout)["rules"]] == [True, False]
    suite = ET.parse(file).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "1", "0")
    assert [case.find("failure") is not None for case in suite] == [True, False]
    assert ran(service, "compare", "@1", "@2", "--since", "1h", *rules, "--min-runs", "5000").exit_code == 3
    assert ET.parse(file).getroot().get("skipped") == "1"


def test_rules_know_their_units() -> None:
    """Points, shares of A, and milliseconds; a rule about one step looks at that step alone."""
    one = {"measure": "step_p95_ms", "unit": "ms", "step": {"kind": "tool", "name": "s"}, "failure": None, "low": 10, "high": 90}
    measure = {**one, "a": 100.0, "b": 150.0, "difference": 50.0}
    for text, broken in (
        ("step_p95_ms>+40ms", True),
        ("step_p95_ms[s]>+0.04s", True),
        ("step_p95_ms>+51%", False),
        ("step_p95_ms<-10ms", False),
    ):
        assert [verdict.broken for verdict in verdicts(rule_of(text), [measure])] == [broken]
    assert not verdicts(rule_of("step_p95_ms>+40ms"), [{**measure, "low": -1}])[0].broken
    with pytest.raises(SettingsError):
        verdicts(rule_of("step_p95_ms[t]>+40ms"), [measure])


def test_a_trend_fits_its_column() -> None:
    """As blocks from nothing to most, at most 24 of them."""
    assert spark_line([0, 1, 2, 4]) == " ▂▄█"
    assert spark_line([0, 0]) == "  "
    assert len(spark_line(range(100))) <= 24


def test_prices_are_printed_and_checked(tmp_path: Path) -> None:
    """What is printed can take its place; what cannot is refused."""
    printed = CliRunner().invoke(app, ["prices"]).stdout
    assert printed == SHIPPED.read_text(encoding="utf-8")
    own = tmp_path / "prices.json"
    own.write_text(printed, encoding="utf-8")
    assert CliRunner().invoke(app, ["prices", "--check", str(own)]).exit_code == 0
    own.write_text("{}", encoding="utf-8")
    assert CliRunner().invoke(app, ["prices", "--check", str(own)]).exit_code == 2
