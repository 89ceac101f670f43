"""`agenttracer keys` as far as it goes without a store; with one it is tested in tests/integration/test_keys.py."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agenttracer_cli.app import app
from agenttracer_cli.errors import DeployError, KeysError

NOWHERE = "postgresql://owner@127.0.0.1:1/agenttracer"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AGENTTRACER_")]:
        monkeypatch.delenv(name)


def keys(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments, "--state-dir", str(tmp_path)])


def refusal(result: Result) -> str:
    assert isinstance(result.exception, DeployError), result.output
    return str(result.exception)


def test_the_help_pages_say_what_there_is() -> None:
    """Of the group and of each command, with the variable that says where its state is."""
    page = CliRunner().invoke(app, ["keys", "--help"]).output
    assert all(word in page for word in ("create", "list", "revoke"))
    for command in ("create", "list", "revoke"):
        assert "AGENTTRACER_STATE_DIR" in CliRunner().invoke(app, ["keys", command, "--help"]).output.replace("\n", "")


def test_nothing_is_made_without_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says what to do; an address with its password is not repeated."""
    create = ("create", "--project", "shop", "--scope", "ingest")
    assert "agenttracer up" in refusal(keys(tmp_path, *create))
    monkeypatch.setenv("AGENTTRACER_KEY_PEPPER", "p" * 32)
    unreachable = refusal(keys(tmp_path, *create, "--postgres", NOWHERE))
    assert "cannot be reached" in unreachable
    assert "hush" not in unreachable


def test_a_pepper_that_no_service_has_is_not_made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For somebody's own database it must be given; a short one is refused without being shown."""
    create = ("create", "--project", "shop", "--scope", "ingest", "--postgres", NOWHERE)
    assert "AGENTTRACER_KEY_PEPPER" in refusal(keys(tmp_path, *create))
    monkeypatch.setenv("AGENTTRACER_KEY_PEPPER", "tooshort")
    said = refusal(keys(tmp_path, *create))
    assert "at least 32" in said
    assert "tooshort" not in said


@pytest.mark.parametrize(("option", "value"), [("--project", "two words"), ("--name", "a@b")])
def test_names_have_the_form_of_names(tmp_path: Path, option: str, value: str) -> None:
    """They stand in records and lists; the refusal names the option, not the value."""
    given = {"--project": "shop", "--scope": "read", option: value}
    said = keys(tmp_path, "create", "--postgres", NOWHERE, *[part for pair in given.items() for part in pair])
    assert isinstance(said.exception, KeysError)
    assert option in str(said.exception)
    assert value not in str(said.exception)


@pytest.mark.parametrize("wrong", [("--scope", "write"), ("--scope", "read", "--expires-in-days", "0"), ()])
def test_scopes_and_lifetimes_are_checked(tmp_path: Path, wrong: tuple[str, ...]) -> None:
    """Wrong usage is exit code 2."""
    assert keys(tmp_path, "create", "--project", "shop", *wrong).exit_code == 2
