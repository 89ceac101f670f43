"""The local stack's own ingest key, and the file in which agents on this machine find it, named for the gateway's port.

The SDK reads that file if it has no key and sends to loopback. The key itself is kept in the state directory, so that every
start has the same one; the file exists while the stack is up, and a stack on another port has a file of its own.
"""

import hashlib
import os
import socket
from pathlib import Path
from typing import Final

from agenttracer_cli.admin.api_keys import ApiKeys, Purpose
from agenttracer_cli.local_stack.files import secret, write_atomically
from servicekit.auth.keys import Pepper, Scope

PROJECT: Final = "default"
NAME_KEY_VARIABLE: Final = "AGENTTRACER_GATEWAY_NAME_KEY"
_PRIVATE: Final = 0o600


def key_pepper(state_dir: Path) -> Pepper:
    """The pepper of this state directory's services. The first call generates it."""
    return Pepper(pepper_text(state_dir))


def pepper_text(state_dir: Path) -> str:
    """`AGENTTRACER_KEY_PEPPER`, else the one in the state directory."""
    return os.environ.get("AGENTTRACER_KEY_PEPPER") or secret(pepper_file(state_dir))


def pepper_file(state_dir: Path) -> Path:
    """The file of the generated pepper."""
    return state_dir / "secrets" / "key_pepper"


def name_key_text(state_dir: Path) -> str:
    """The key of pseudonyms: the gateway's own variable, else the one in the state directory, which the first call generates."""
    return os.environ.get(NAME_KEY_VARIABLE) or secret(name_key_file(state_dir))


def name_key_file(state_dir: Path) -> Path:
    """The file of the generated key of pseudonyms."""
    return state_dir / "secrets" / "name_key"


def ensure_local_key(state_dir: Path, *, keys: ApiKeys, pepper: Pepper) -> str:
    """The key with which agents on this machine send; a new one if the stored one is no longer live. Raises KeysError."""
    kept = stored_key(state_dir)
    if kept is not None and keys.is_live(kept, pepper=pepper):
        return kept
    remove_local_key(state_dir)  # while the key that the published file has is still known
    # Its name has the state directory in it: several may share one store.
    place = hashlib.sha256(f"{socket.gethostname()}:{state_dir}".encode()).hexdigest()[:12]
    purpose = Purpose(project=PROJECT, scopes=frozenset({Scope.INGEST}), name=f"local-{place}")
    made = keys.replace(purpose, pepper=pepper)
    write_atomically(_key_file(state_dir), made.text + "\n", mode=_PRIVATE)
    return made.text


def stored_key(state_dir: Path) -> str | None:
    """The key that `ensure_local_key` returned last; None if there was none."""
    try:
        return _key_file(state_dir).read_text().strip()
    except FileNotFoundError:
        return None


def publish_local_key(text: str, *, port: int) -> Path:
    """Write the key where agents of this user look for the one of the gateway on this port."""
    file = local_key_file(port)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(file, text + "\n", mode=_PRIVATE)
    return file


def remove_local_key(state_dir: Path, *, except_port: int = 0) -> None:
    """Remove the files with this stack's key, whatever their port. Files of other stacks stay."""
    kept, current = stored_key(state_dir), local_key_file(except_port)
    for file in current.parent.glob("*.key"):
        try:
            if kept is not None and file != current and file.read_text().strip() == kept:
                file.unlink()
        except OSError:
            continue  # gone a moment ago, or not ours to read


def local_key_file(port: int) -> Path:
    """The file of a port. The SDK reads the same path; a test holds the two together."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "agenttracer" / "local" / f"{port}.key"


def _key_file(state_dir: Path) -> Path:
    return state_dir / "secrets" / "ingest_key"
