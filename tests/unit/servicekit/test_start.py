"""A service that is told nonsense does not start, and says so in a line."""

import os
import subprocess
import sys

import pytest

PEPPER = "hush" * 8
DSN = "postgresql://role:hush@127.0.0.1:1/db"


@pytest.mark.parametrize(
    ("module", "settings", "said"),
    [
        ("producer_gateway", {}, "anonymous_project"),
        ("query_service", {}, "anonymous_project"),
        ("producer_gateway", {"POSTGRES_DSN": DSN}, "come together"),
        ("producer_gateway", {"POSTGRES_DSN": DSN, "KEY_PEPPER": "hush"}, "at least 32"),
        ("query_service", {"KEY_PEPPER": "hush"}, "at least 32"),
        ("producer_gateway", {"HOST": "0.0.0.0", "ANONYMOUS_PROJECT": "default"}, "loopback"),
        ("query_service", {"HOST": "0.0.0.0", "ANONYMOUS_PROJECT": "default", "KEY_PEPPER": PEPPER}, "loopback"),
        ("query_service", {"ANONYMOUS_PROJECT": "default", "PORT": "many"}, "AGENTTRACER_QUERY_PORT"),
    ],
)
def test_refusing_to_start(module: str, settings: dict[str, str], said: str) -> None:
    """Exit code 78 and one line that names what is missing; no traceback, no value."""
    prefix = {"producer_gateway": "AGENTTRACER_GATEWAY_", "query_service": "AGENTTRACER_QUERY_"}[module]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AGENTTRACER_")}
    environment = clean | {prefix + name: value for name, value in settings.items()}
    ended = subprocess.run(
        [sys.executable, "-m", module], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr.startswith("cannot start: ")
    assert ended.stderr.count("\n") == 1
    assert said in ended.stderr
    assert "hush" not in ended.stderr
    assert "many" not in ended.stderr
