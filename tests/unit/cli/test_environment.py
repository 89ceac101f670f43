"""The variables that the command knows."""

import re
from pathlib import Path

import pytest

from agenttracer_cli.local.environment import known_variables, misspelt_variables

ROOT = Path(__file__).parents[3]
FOLDERS = ("deploy", "servicekit", "producer_gateway", "stream_workers", "query_service", "sdk/agenttracer")
EXAMPLES = {"AGENTTRACER_X_S"}


@pytest.fixture(autouse=True)
def only_the_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable that the source names, as if all were set."""
    monkeypatch.setattr("os.environ", dict.fromkeys(_named(), ""))


def test_no_variable_that_the_source_names_is_called_misspelt() -> None:
    """With the options' variables, which typer knows."""
    assert misspelt_variables(known_variables(_of_options())) == []
    assert _named() <= known_variables(_of_options())


def test_a_misspelt_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the SDK as of a service; other software's variables are left alone."""
    names = ("AGENTTRACER_API_URI", "AGENTTRACER_WORKER_TOPICS", "AGENTTRACER_ENVIRONMENT", "OTHER_API_URI")
    monkeypatch.setattr("os.environ", dict.fromkeys(names, "hush"))
    assert misspelt_variables(known_variables([])) == [
        "AGENTTRACER_API_URI is not a setting; did you mean AGENTTRACER_API_URL?",
        "AGENTTRACER_WORKER_TOPICS is not a setting; did you mean AGENTTRACER_WORKER_TOPIC?",
    ]


def _named() -> set[str]:
    sources = (path.read_text(encoding="utf-8") for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return {name for text in sources for name in re.findall(r"AGENTTRACER_[A-Z0-9_]*[A-Z0-9]\b", text)} - EXAMPLES


def _of_options() -> set[str]:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "deploy/agenttracer_cli").rglob("*.py"))
    return set(re.findall(r'envvar="(AGENTTRACER_\w+)"', text))
