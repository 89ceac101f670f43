"""Where the local stack leaves its key, and what it leaves alone."""

import stat
from pathlib import Path

import pytest

from agenttracer_cli.admin.api_keys import ApiKeys
from agenttracer_cli.local.local_key import (
    ensure_local_key,
    local_key_file,
    pepper_text,
    publish_local_key,
    remove_local_key,
    stored_key,
)
from agenttracer_cli.local_stack.files import write_atomically
from servicekit.auth.keys import NewKey, Pepper, new_key


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("AGENTTRACER_KEY_PEPPER", raising=False)


def keep(state_dir: Path, key: str) -> None:
    write_atomically(state_dir / "secrets" / "ingest_key", key, mode=0o600)


def test_what_is_published_is_taken_back(tmp_path: Path) -> None:
    """From whatever port it was on; the key of another stack stays, even on a port that was ours once."""
    keep(tmp_path, "ours")
    for port, key in ((8000, "ours"), (20_001, "ours"), (8001, "theirs")):
        publish_local_key(key, port=port)
    remove_local_key(tmp_path, except_port=20_001)
    assert not local_key_file(8000).exists()
    assert local_key_file(20_001).exists()
    remove_local_key(tmp_path)
    assert [file.name for file in local_key_file(0).parent.iterdir()] == ["8001.key"]
    remove_local_key(tmp_path / "never-up")


def test_secrets_are_the_users_alone(tmp_path: Path) -> None:
    """Key files and the pepper have mode 0600, also where a file with another mode was there before."""
    local_key_file(8000).parent.mkdir(parents=True)
    local_key_file(8000).touch(mode=0o644)
    publish_local_key("key", port=8000)
    first = pepper_text(tmp_path)
    assert len(first) >= 32
    assert pepper_text(tmp_path) == first
    for file in (local_key_file(8000), tmp_path / "secrets" / "key_pepper"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_given_pepper_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And none is made up beside it."""
    monkeypatch.setenv("AGENTTRACER_KEY_PEPPER", "given" * 8)
    assert pepper_text(tmp_path) == "given" * 8
    assert not (tmp_path / "secrets").exists()
    assert stored_key(tmp_path) is None


def test_a_replaced_key_leaves_no_file_behind(tmp_path: Path) -> None:
    """Whatever port the stack had when the old one was published."""
    keep(tmp_path, "old")
    publish_local_key("old", port=20_002)

    class Keys(ApiKeys):
        def is_live(self, *_: object, **__: object) -> bool:
            return False

        def replace(self, *_: object, **__: object) -> NewKey:
            return new_key(pepper)

    pepper = Pepper("p" * 32)
    made = ensure_local_key(tmp_path, keys=Keys(""), pepper=pepper)
    assert made == stored_key(tmp_path)
    assert not local_key_file(20_002).exists()
