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
from agenttracer._events.pending_event import PendingStep
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
    internal = {"begin", "bits", "outer", "over", "parent_bits", "start"}
    functions = {name for name in agenttracer.__all__ if name.islower() and not name.startswith("_")}
    slots = {*Run.__slots__, *Step.__slots__, *PendingStep.__slots__}
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
    ("fingerprint_key", "secret-of-15-by"),
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


def test_a_misspelt_variable_draws_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """It names the variable and the nearest setting, and never the value, which could be a key."""
    environ = {"AGENTTRACER_APIKEY": "atk_secret", "AGENTTRACER_FLUSH_INTERVAL": "1", "PATH": "/bin"}
    with caplog.at_level(logging.WARNING, logger="agenttracer"):
        for _ in range(2):
            assert load({}, environ=environ) == Config()
    assert [record.getMessage() for record in caplog.records] == [
        "the variable AGENTTRACER_APIKEY is unknown and ignored; did you mean AGENTTRACER_API_KEY?",
        "the variable AGENTTRACER_FLUSH_INTERVAL is unknown and ignored; did you mean AGENTTRACER_FLUSH_INTERVAL_S?",
    ]


def test_variables_of_services_and_command_draw_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A shell that starts the local stack starts agents too."""
    command = Path(__file__).resolve().parents[3] / "deploy" / "agenttracer_cli"
    sources = "".join(path.read_text() for path in command.rglob("*.py"))
    others = set(re.findall(r"AGENTTRACER_[A-Z_]*[A-Z]", sources))
    assert {"AGENTTRACER_STATE_DIR", "AGENTTRACER_GATEWAY_PORT", "AGENTTRACER_KAFKA_BOOTSTRAP"} <= others
    with caplog.at_level(logging.WARNING, logger="agenttracer"):
        load({}, environ=dict.fromkeys(sorted(others - {"AGENTTRACER_API_URL", "AGENTTRACER_API_KEY"}), "given"))
    assert [record.getMessage() for record in caplog.records] == []


def test_keys_are_not_shown() -> None:
    """The settings' repr, which ends up in logs, has no secret in it."""
    config = load({"api_key": "secret-key", "fingerprint_key": "secret-of-sixteen"}, environ={})
    assert "secret" not in repr(config)
    assert config.fingerprint_key == b"secret-of-sixteen"
    assert load({"api_key": b"secret-key"}, environ={}).api_key == "secret-key"


IN_CLEAR = [
    "http://gateway:8000",
    "http://10.0.0.1",
    "http://127.0.0.1.example",
    "http://localhost.example",
    "http://[fd00::1]:8000",
]
NOT_IN_CLEAR = [
    "https://gateway",
    "http://localhost",
    "http://LOCALHOST:80/x",
    "http://127.0.0.1:8000",
    "http://127.8.0.1",
    "http://[::1]:80",
]


@pytest.mark.parametrize("url", IN_CLEAR)
def test_a_key_stays_here_where_it_could_be_read_on_the_way(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """One warning, without the key, says what to set; when strict it is an error."""
    with caplog.at_level(logging.WARNING, logger="agenttracer"):
        for _ in range(2):
            assert load({"api_url": url, "api_key": "secret"}, environ={}).sendable_key is None
    (record,) = caplog.records
    assert "allow_insecure" in record.getMessage()
    assert "secret" not in record.getMessage()
    with pytest.raises(ConfigError, match="allow_insecure"):
        load({"api_url": url, "api_key": "secret", "strict": True}, environ={})


@pytest.mark.parametrize("url", NOT_IN_CLEAR)
def test_a_key_is_sent_where_nobody_else_can_read_it(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """By TLS, and on this machine."""
    assert load({"api_url": url, "api_key": "secret"}, environ={}).sendable_key == "secret"
    assert not caplog.records


def test_the_user_may_allow_a_key_in_clear(caplog: pytest.LogCaptureFixture) -> None:
    """By an argument or a variable. Without a key, or when nothing is sent, there is nothing to allow."""
    url = {"api_url": IN_CLEAR[0], "api_key": "secret"}
    assert load({**url, "allow_insecure": True}, environ={}).sendable_key == "secret"
    assert load(url, environ={"AGENTTRACER_ALLOW_INSECURE": "1"}).sendable_key == "secret"
    assert load({"api_url": IN_CLEAR[0]}, environ={}).sendable_key is None
    load({**url, "disabled": True}, environ={})
    assert not caplog.records


def test_a_path_below_the_host_is_kept_without_its_last_slash() -> None:
    """A gateway may live under a prefix."""
    assert load({"api_url": "https://host.example/telemetry/"}, environ={}).api_url == "https://host.example/telemetry"


def test_the_version_is_the_packages() -> None:
    """What batches say is what was installed."""
    pyproject = Path(__file__).resolve().parents[3] / "sdk" / "pyproject.toml"
    found = re.search(r'^version = "(.+)"$', pyproject.read_text(), flags=re.MULTILINE)
    assert found is not None
    assert found[1] == agenttracer.__version__
