import os
from pathlib import Path

import pytest

from agenttracer_cli.errors import ProvisionError
from agenttracer_cli.local_stack.owned_process import AS_SELF, Identity
from agenttracer_cli.local_stack.postgres import unprivileged
from agenttracer_cli.local_stack.postgres.unprivileged import PrivilegeDrop, account_for, privilege_drop_for


def test_an_ordinary_user_needs_no_privilege_drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL runs as whoever starts the stack."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert account_for(tmp_path) == AS_SELF
    assert privilege_drop_for(AS_SELF, program=Path("/bin/true"), data=tmp_path) == PrivilegeDrop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another account")
def test_root_keeps_the_account_that_owns_the_data(tmp_path: Path) -> None:
    """A data directory made under one account is not started under another."""
    os.chown(tmp_path, 12345, 12346)
    assert account_for(tmp_path) == Identity(12345, 12346)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another account")
def test_root_reaches_a_closed_folder_by_one_capability(tmp_path: Path) -> None:
    """Below a folder that the account may not enter, setpriv with dac_override works, and the plain way does not."""
    closed = tmp_path / "closed"
    data = closed / "data"
    data.mkdir(parents=True)
    closed.chmod(0o700)
    account = Identity(65534, 65534)
    os.chown(data, 65534, 65534)
    drop = privilege_drop_for(account, program=Path("/bin/true"), data=data)
    assert drop.identity == AS_SELF
    assert "--ambient-caps=+dac_override" in drop.prefix


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another account")
def test_when_no_way_works_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the ways out."""
    monkeypatch.setattr(unprivileged.shutil, "which", lambda _: None)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ProvisionError, match=r"ordinary user.*setpriv"):
        privilege_drop_for(Identity(65534, 65534), program=Path("/bin/true"), data=closed)
