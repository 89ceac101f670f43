"""The audit log: what commands did to keys and data, and which keys services refused."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from typer.testing import CliRunner

from agenttracer_cli.admin.api_keys import ApiKeys, Purpose
from agenttracer_cli.app import app
from servicekit.auth.keys import Scope
from servicekit.testing import PEPPER
from stream_workers.operations.deletion import remove_project, remove_run, set_retention

RUN = str(uuid.UUID(int=7))


@pytest.fixture
def owner(migrated_dsn: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AGENTTRACER_POSTGRES_DSN", migrated_dsn["owner"])
    return migrated_dsn["owner"]


def _audit(*arguments: str) -> list[dict[str, Any]]:
    answer = CliRunner().invoke(app, ["audit", "--json", *arguments])
    assert answer.exit_code == 0, answer.output
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


def _said(entries: Sequence[dict[str, Any]]) -> list[tuple[str, str | None, str | None, str | None]]:
    return [(one["action"], one["project"], one["key_id"], one["run_id"]) for one in entries]


def test_what_was_done_is_said(owner: str) -> None:
    """Each action once, in its order, with what it was done to and by whom; a second revocation does nothing and says nothing."""
    keys = ApiKeys(owner)
    first, second = (
        keys.create(Purpose(project="shop", scopes=frozenset({scope})), pepper=PEPPER) for scope in Scope if scope != "admin"
    )
    keys.revoke(first.key_id)
    keys.revoke(first.key_id)
    asyncio.run(remove_run(owner, "shop", RUN))
    asyncio.run(set_retention(owner, "shop", 30))
    asyncio.run(remove_project(owner, "shop"))
    entries = _audit("--project", "shop")
    assert _said(entries) == [
        ("key_created", "shop", first.key_id, None),
        ("key_created", "shop", second.key_id, None),
        ("key_revoked", "shop", first.key_id, None),
        ("run_deleted", "shop", None, RUN),
        ("retention_set", "shop", None, None),
        ("project_deleted", "shop", None, None),
        ("key_revoked", "shop", second.key_id, None),
    ]
    assert {one["role"] for one in entries} == {"agenttracer_owner"}
    text = json.dumps(entries) + CliRunner().invoke(app, ["audit"]).output
    assert not any(secret in text for key in (first, second) for secret in (key.text, key.text.rpartition("_")[2]))
    assert _said(_audit("--action", "key_revoked", "--limit", "1")) == [("key_revoked", "shop", second.key_id, None)]
    assert _audit("--project", "bank") == _audit("--since", "2999-01-01") == []
