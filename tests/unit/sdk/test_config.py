"""Settings: where they come from, what is refused, and that the README tells the truth about them."""

import inspect
import logging
import re
from dataclasses import fields
from pathlib import Path

import pytest

import agenttracer
from agenttracer import AgentTracer, ConfigError, Run, Step
from agenttracer._config import Config, load
from agenttracer._draft import StepDraft
from agenttracer.wire.vocabulary import DropReason

README = (Path(__file__).resolve().parents[3] / "sdk" / "README.md").read_text()


def rows(heading: str) -> dict[str, list[str]]:
    """The table under a heading of the README: first cell to the others."""
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| `")]
    return {first.strip("`"): rest for first, *rest in cells}


def test_the_readme_lists_every_setting_with_its_default() -> None:
    """No setting is missing, none is invented, no default is out of date."""
    table = rows("Settings")
    assert set(table) == {setting.name for setting in fields(Config)}
    for setting in fields(Config):
        shown = table[setting.name][0]
        assert shown == ("none" if setting.default is None else f"`{setting.default}`")


def test_the_readme_lists_every_drop_reason() -> None:
    """A reason that stats can show is explained."""
    assert set(rows("Drop reasons")) == set(DropReason)


def test_the_readme_shows_the_whole_surface() -> None:
    """Every public function, method and property that a program may call is named in it."""
    methods = {name for kind in (AgentTracer, Run, Step) for name in vars(kind) if not name.startswith("_")}
    internal = {"begin", "bits", "claim_end", "concluded", "counted_anew", "ended", "event", "failed", "guard", "outer", "outlet"}
    internal |= {"parent_bits", "remembering", "run", "seq", "start", "step_bits"}
    functions = {name for name in agenttracer.__all__ if name.islower() and not name.startswith("_")}
    slots = {*Run.__slots__, *Step.__slots__, *StepDraft.__slots__}
    for name in (methods - internal - slots - {"step_id"}) | functions:
        assert re.search(rf"`[^`]*\b{name}\b", README), name


def test_every_setting_is_an_argument() -> None:
    """`AgentTracer` takes each setting by keyword, besides the agent's name and version."""
    arguments = set(inspect.signature(AgentTracer).parameters)
    assert arguments == {setting.name for setting in fields(Config)} | {"agent_id", "agent_version"}


def test_arguments_win_over_variables_and_variables_over_defaults() -> None:
    """In that order."""
    environ = {"AGENTTRACER_FLUSH_INTERVAL_S": "2.5", "AGENTTRACER_API_KEY": "key", "AGENTTRACER_STRICT": "yes"}
    config = load({"flush_interval_s": 1, "api_key": None}, environ=environ)
    assert (config.flush_interval_s, config.api_key, config.strict) == (1.0, "key", True)
    assert load({}, environ={}) == Config()


BAD = [
    ("api_url", "ftp://host"),
    ("api_url", "http://"),
    ("api_url", "http://user:secret@host"),
    ("api_url", "http://host:port"),
    ("api_url", "gateway:8000"),
    ("api_key", "two words"),
    ("api_key", "line\nbreak"),
    ("disabled", "perhaps"),
    ("flush_interval_s", "0"),
    ("sample_rate", "1.1"),
    ("sample_rate", "nan"),
    ("flush_interval_s", "nan"),
    ("batch_max_events", "4001"),
    ("batch_max_events", "1.5"),
    ("queue_max_events", "-1"),
    ("abandon_after_s", "soon"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_setting_that_cannot_be_used_is_warned_of_and_the_default_stands(
    name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning, by name and rule; the value is not repeated, since it could be a key."""
    environ = {f"AGENTTRACER_{name.upper()}": value}
    with caplog.at_level(logging.WARNING, logger="agenttracer"):
        for _ in range(2):
            assert load({}, environ=environ) == Config()
    (record,) = caplog.records
    assert record.getMessage().startswith(name)
    assert "secret" not in record.getMessage()


@pytest.mark.parametrize(("name", "value"), BAD)
def test_strict_raises_it(name: str, value: str) -> None:
    """In tests a bad setting is an error."""
    with pytest.raises(ConfigError) as refused:
        load({name: value, "strict": True}, environ={})
    assert refused.value.setting == name


def test_keys_are_not_shown() -> None:
    """The settings' repr, which ends up in logs, has no secret in it."""
    config = load({"api_key": "secret-key", "fingerprint_key": "secret-too"}, environ={})
    assert "secret" not in repr(config)
    assert config.fingerprint_key == b"secret-too"
    assert load({"api_key": b"secret-key"}, environ={}).api_key == "secret-key"


def test_a_path_below_the_host_is_kept_without_its_last_slash() -> None:
    """A gateway may live under a prefix."""
    assert load({"api_url": "https://host.example/telemetry/"}, environ={}).api_url == "https://host.example/telemetry"


def test_the_version_is_the_packages() -> None:
    """What batches say is what was installed."""
    pyproject = Path(__file__).resolve().parents[3] / "sdk" / "pyproject.toml"
    found = re.search(r'^version = "(.+)"$', pyproject.read_text(), flags=re.MULTILINE)
    assert found is not None
    assert found[1] == agenttracer.__version__
