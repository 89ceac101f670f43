"""A service that is told nonsense does not start, and says so in a line."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from producer_gateway.settings import GatewaySettings
from query_service.settings import QuerySettings
from servicekit.load_settings import EXIT_SETTINGS, read_settings
from stream_workers.settings import WorkerSettings

PEPPER = "hush" * 8
DSN = "postgresql://role:hush@127.0.0.1:1/db"
PREFIXES = {
    "producer_gateway": "AGENTTRACER_GATEWAY_",
    "query_service": "AGENTTRACER_QUERY_",
    "stream_workers": "AGENTTRACER_WORKER_",
}
OPEN = {"ANONYMOUS_PROJECT": "default"}
NO_CA = {"KAFKA_SECURITY__PROTOCOL": "SSL", "KAFKA_SECURITY__CA_FILE": "/hush.pem"}


def _run(module: str, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AGENTTRACER_")}
    environment = clean | {PREFIXES[module] + name: value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", module], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("module", "settings", "said"),
    [
        ("producer_gateway", {}, "set AGENTTRACER_GATEWAY_POSTGRES_DSN and AGENTTRACER_GATEWAY_KEY_PEPPER"),
        ("query_service", {}, "AGENTTRACER_QUERY_ANONYMOUS_PROJECT"),
        ("producer_gateway", {"POSTGRES_DSN": DSN}, "AGENTTRACER_GATEWAY_KEY_PEPPER come together"),
        ("producer_gateway", {"POSTGRES_DSN": DSN, "KEY_PEPPER": "hush"}, "at least 32"),
        ("query_service", {"KEY_PEPPER": "hush"}, "AGENTTRACER_QUERY_KEY_PEPPER must have at least 32"),
        ("producer_gateway", {"HOST": "0.0.0.0", "ANONYMOUS_PROJECT": "default"}, "loopback"),
        ("query_service", {"HOST": "0.0.0.0", "ANONYMOUS_PROJECT": "default", "KEY_PEPPER": PEPPER}, "loopback"),
        ("query_service", {"ANONYMOUS_PROJECT": "default", "PORT": "many"}, "AGENTTRACER_QUERY_PORT"),
        ("query_service", OPEN | {"TLS": "hush"}, "AGENTTRACER_QUERY_TLS: must be JSON"),
        ("stream_workers", {"POSTGRES_DSN": DSN, "LOG_LEVEL": "hush"}, "AGENTTRACER_WORKER_LOG_LEVEL: must be DEBUG"),
        ("query_service", OPEN | {"PROT": "80"}, "AGENTTRACER_QUERY_PROT is not a setting; did you mean AGENTTRACER_QUERY_PORT?"),
    ],
)
def test_refusing_to_start(module: str, settings: dict[str, str], said: str) -> None:
    """Exit code 78 and one line that names what is missing; no traceback, no value."""
    ended = _run(module, settings)
    assert (ended.returncode, ended.stdout) == (EXIT_SETTINGS, "")
    assert ended.stderr.startswith("cannot start: ")
    assert ended.stderr.count("\n") == 1
    assert said in ended.stderr
    assert "hush" not in ended.stderr
    assert "many" not in ended.stderr


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (WorkerSettings, {}, ["POSTGRES_DSN: Field required"]),
        (WorkerSettings, {"POSTGRES_DSN": DSN, "KAFKA_SECURITY": "hush"}, ["KAFKA_SECURITY: must be JSON"]),
        (GatewaySettings, {"KAFKA_SECURITY": "{hush"}, ["KAFKA_SECURITY: must be JSON"]),
        (GatewaySettings, {"LOG_LEVEL": "hush"}, ["LOG_LEVEL: must be DEBUG"]),
        (QuerySettings, {"LOG_LEVEL": ""}, ["LOG_LEVEL: must be DEBUG"]),
        (WorkerSettings, {"POSTGRES_DSN": DSN, **NO_CA}, ["KAFKA_SECURITY__CA_FILE: cannot be read (FileNotFoundError)"]),
        (
            GatewaySettings,
            {**NO_CA, "TLS__CERT_FILE": "/", "TLS__KEY_FILE": "/hush.pem"},
            [
                "TLS__CERT_FILE: cannot be read (IsADirectoryError)",
                "TLS__KEY_FILE: cannot be read (FileNotFoundError)",
                "KAFKA_SECURITY__CA_FILE: cannot be read (FileNotFoundError)",
            ],
        ),
        (
            QuerySettings,
            {"TLS__CERT_FILE": __file__, "TLS__KEY_FILE": "/hush.pem"},
            ["TLS__KEY_FILE: cannot be read (FileNotFoundError)"],
        ),
        (QuerySettings, {"TLS__CERT_FILE": "/hush.pem"}, ["TLS__CERT_FILE and AGENTTRACER_QUERY_TLS__KEY_FILE come together"]),
        (
            WorkerSettings,
            {"POSTGRES_DSN": DSN, "KAFKA_SECURITY__PROTOCOL": "SASL_SSL"},
            ["KAFKA_SECURITY__USERNAME and AGENTTRACER_WORKER_KAFKA_SECURITY__PASSWORD are needed with SASL"],
        ),
        (
            GatewaySettings,
            {"DRAIN_TIMEOUT_S": "1", "PORTS": "1"},
            ["PORTS is not", "DRAIN_TIMEOUT_S must not be below AGENTTRACER_GATEWAY_REQUEST_DEADLINE_S"],
        ),
        (
            GatewaySettings,
            {"TLS__CERTFILE": "/hush.pem", "TLS__OTHER": "hush"},
            ["TLS__CERTFILE is not a setting; did you mean AGENTTRACER_GATEWAY_TLS__CERT_FILE?", "TLS__OTHER is not a setting"],
        ),
        (QuerySettings, {"TLS__CERT_FILE": __file__, "TLS__KEY_FILE": __file__}, ["TLS: its files are not certificates"]),
    ],
)
def test_each_fault_of_settings_is_a_line(
    kind: type[BaseSettings],
    settings: dict[str, str],
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It names the setting as whoever starts the process wrote it, and the rule; never the value."""
    prefix = kind.model_config["env_prefix"]
    for name in [name for name in os.environ if name.startswith("AGENTTRACER_")]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(prefix + name, value)
    with pytest.raises(SystemExit) as ended:
        read_settings(kind)
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == EXIT_SETTINGS
    assert len(lines) == len(said)
    assert all(line.startswith(f"cannot start: {prefix}{start}") for line, start in zip(lines, said, strict=True)), lines
    assert not any("hush" in line or Path(__file__).name in line for line in lines)


def test_a_port_that_is_taken_is_named_in_the_log() -> None:
    """With the system's code of it; uvicorn's own line of it has the class and the code, not its text."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = _run("query_service", OPEN | {"PORT": str(port)})
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    errors = [line for line in lines if line["level"] == "error"]
    assert ended.returncode != 0
    assert [(line["event"], line["port"], line["code"]) for line in errors[:1]] == [("cannot_listen", port, "EADDRINUSE")]
    assert [(line["logger"], line["error_class"], line["code"]) for line in errors[1:]] == [
        ("uvicorn.error", "OSError", "EADDRINUSE")
    ]


def test_a_host_that_nobody_knows_has_the_lookups_code_in_the_log() -> None:
    """Its name is not repeated."""
    ended = _run("query_service", {"KEY_PEPPER": PEPPER, "POSTGRES_DSN": DSN, "HOST": "hush.invalid", "PORT": "0"})
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    (said,) = [line for line in lines if line["event"] == "cannot_listen"]
    assert said["code"].startswith("EAI_")
    assert "hush" not in ended.stderr
