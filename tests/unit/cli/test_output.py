"""What `agenttracer up` tells people to set."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from agenttracer._config import Config
from agenttracer_cli import output
from agenttracer_cli.admin.api_keys import ListedKey
from agenttracer_cli.local.endpoints import PipelineEndpoints
from agenttracer_cli.local.local_key import publish_local_key

USUAL, OTHER = "http://127.0.0.1:8000", "http://127.0.0.1:20345"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "con fig"))


def endpoints(gateway_url: str) -> PipelineEndpoints:
    return PipelineEndpoints(gateway_url, "http://127.0.0.1:8001", (), "127.0.0.1:9092", "t", "127.0.0.1:5432/x", True, True)  # noqa: FBT003


def test_the_sdk_needs_nothing_on_the_port_that_it_sends_to_by_default() -> None:
    """Its default, not a copy of it that may grow old."""
    assert output.sdk_exports(Config().api_url) == []
    assert output.sdk_exports(OTHER) == [f"export AGENTTRACER_API_URL={OTHER}"]


@pytest.mark.parametrize("url", [USUAL, OTHER])
def test_all_variables_that_opentelemetry_needs_are_printed(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A shell takes them as they are printed, the key among them; the key itself is not shown."""
    publish_local_key("atk_secret", port=int(url.rpartition(":")[2]))
    output.show_endpoints(endpoints(url), title="up", logs=Path("logs"))
    printed = capsys.readouterr().out
    assert "atk_secret" not in printed
    lines = [line.strip() for line in printed.splitlines() if line.strip().startswith("export")]
    shell = subprocess.run(
        ["/bin/sh", "-c", "\n".join([*lines, "env"])], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    found = dict(line.split("=", 1) for line in shell.stdout.splitlines() if line.startswith(("OTEL", "AGENTTRACER")))
    assert found.pop("AGENTTRACER_API_URL", USUAL) == url
    assert found == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=atk_secret",
        "OTEL_SERVICE_NAME": "my-agent",
        "OTEL_RESOURCE_ATTRIBUTES": "service.version=1.0",
    }


def test_keys_fit_into_80_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Long names of projects and keys included; ids and times are never folded."""
    now = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
    listed = [
        ListedKey(
            key_id="mzfrios2h8p7",
            project=project,
            scopes=["admin", "ingest", "read"],
            name="local-0123456789ab",
            created_at=now,
            expires_at=expires_at,
            last_used_at=now,
            state="revoked",
        )
        for project, expires_at in (("p" * 64, now), ("shop", None))
    ]
    monkeypatch.setattr(output, "console", Console(width=80, highlight=False))
    output.show_keys(listed)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    for whole in ("p" * 64, "mzfrios2h8p7", "ingest", "revoked", "2026-01-31", "2026-01-31 12:30"):
        assert whole in printed
