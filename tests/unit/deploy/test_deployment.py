"""The compose file, the image and the units name settings, secrets and modules that exist."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "deploy" / "compose"
SETTINGS = set(re.findall(r"`(AGENTTRACER_[A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")))
OF_THE_COMMAND = {"AGENTTRACER_POSTGRES_DSN", "AGENTTRACER_KEY_PEPPER", "AGENTTRACER_KAFKA_BOOTSTRAP"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8")))


def test_services_are_told_settings_that_exist(compose: dict[str, Any]) -> None:
    """A misspelt one would end the container at its start."""
    told = {
        name for one in compose["services"].values() for name in one.get("environment", {}) if name.startswith("AGENTTRACER_")
    }
    told |= {name for one in compose["services"].values() for name in one.get("secrets", []) if name.startswith("AGENTTRACER_")}
    assert len(told) > 8
    assert told - SETTINGS - OF_THE_COMMAND == set()


def test_no_secret_stands_in_the_file(compose: dict[str, Any]) -> None:
    """Passwords, addresses that hold one, and the pepper come as files."""
    told = {name for one in compose["services"].values() for name in one.get("environment", {})}
    assert not {name for name in told if name.endswith(("_DSN", "_PEPPER", "_PASSWORD"))}


def test_secrets_are_made_once(compose: dict[str, Any], tmp_path: Path) -> None:
    """`make-secrets` makes each that the file names, and changes none."""

    def made() -> dict[str, str]:
        subprocess.run(
            [COMPOSE / "make-secrets"], env={**os.environ, "SECRETS": str(tmp_path / "s")}, check=True, capture_output=True
        )
        return {file.name: file.read_text() for file in (tmp_path / "s").iterdir()}

    first = made()
    named = {one["file"].rpartition("/")[2] for one in compose["secrets"].values()}
    assert named == set(first)
    assert made() == first
    assert len(set(first.values())) == len(first)
    assert (tmp_path / "s").stat().st_mode & 0o077 == 0
    assert first["postgres_worker"] in first["AGENTTRACER_WORKER_POSTGRES_DSN"]


def test_own_services_are_confined(compose: dict[str, Any]) -> None:
    """Read-only root, no capability, no new privilege; no port is open to other machines."""
    for name, one in compose["services"].items():
        if "AGENTTRACER_IMAGE" in one["image"]:
            assert one["read_only"], name
            assert one["cap_drop"] == ["ALL"], name
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", [])), name


def test_the_entry_point_turns_secrets_into_variables() -> None:
    """By the file's name, and runs any command."""
    script = (ROOT / "deploy" / "container" / "entrypoint").read_text(encoding="utf-8")
    modules = re.findall(r"python -m (\w+)", script)
    assert modules == ["producer_gateway", "stream_workers", "query_service"]
    assert all((ROOT / module / "__main__.py").is_file() for module in modules)


@pytest.mark.parametrize("unit", sorted((ROOT / "deploy" / "systemd").glob("*.service")), ids=lambda unit: unit.stem)
def test_a_unit_starts_a_module_of_ours(unit: Path) -> None:
    """Under a user of its own, and not again after a code that no restart mends."""
    text = unit.read_text(encoding="utf-8")
    (module,) = re.findall(r"^ExecStart=/opt/agenttracer/bin/python -m (\w+)$", text, re.MULTILINE)
    assert (ROOT / module / "__main__.py").is_file()
    assert "DynamicUser=yes" in text
    assert "RestartPreventExitStatus=65 78" in text
