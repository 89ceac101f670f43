"""The local stack's own ingest key, and where agents on this machine find it: a file of the user's, named for the gateway's port.

The SDK reads that file when it has no key of its own and sends to loopback (`agenttracer._transport`). The key is kept in the
state directory, so that every start has the same; the file exists while the stack is up.
"""

import hashlib
import os
import socket
from pathlib import Path
from typing import Final

from deploy.api_keys import ApiKeys, Purpose
from deploy.local_stack.files import secret, write_atomically
from servicekit.keys import Pepper, Scope

PROJECT: Final = "default"
_PRIVATE: Final = 0o600


def key_pepper(state_dir: Path) -> Pepper:
    """The pepper that this state directory's services have. The first call makes it up."""
    return Pepper(pepper_text(state_dir))


def pepper_text(state_dir: Path) -> str:
    """`AGENTTRACER_KEY_PEPPER`, else what the state directory keeps."""
    return os.environ.get("AGENTTRACER_KEY_PEPPER") or secret(pepper_file(state_dir))


def pepper_file(state_dir: Path) -> Path:
    """Where a made-up pepper is kept."""
    return state_dir / "secrets" / "key_pepper"


def ensure_local_key(state_dir: Path, *, keys: ApiKeys, pepper: Pepper) -> str:
    """The key that agents on this machine send with; made anew where the kept one is not alive any more. Raises KeysError."""
    kept = kept_key(state_dir)
    if kept is not None and keys.is_live(kept, pepper=pepper):
        return kept
    # Named for the place, since several may share one store.
    place = hashlib.sha256(f"{socket.gethostname()}:{state_dir}".encode()).hexdigest()[:12]
    purpose = Purpose(project=PROJECT, scopes=frozenset({Scope.INGEST}), name=f"local-{place}")
    made = keys.replace(purpose, pepper=pepper)
    write_atomically(_kept(state_dir), made.text + "\n", mode=_PRIVATE)
    return made.text


def kept_key(state_dir: Path) -> str | None:
    """The key that `ensure_local_key` gave last."""
    try:
        return _kept(state_dir).read_text().strip()
    except FileNotFoundError:
        return None


def publish_local_key(text: str, *, port: int) -> Path:
    """Let agents of this user find the key of the gateway on this loopback port."""
    file = local_key_file(port)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(file, text + "\n", mode=_PRIVATE)
    return file


def forget_local_key(state_dir: Path, *, but_for_port: int = 0) -> None:
    """Take back what was published, on whatever other port. Files of other stacks stay."""
    kept, current = kept_key(state_dir), local_key_file(but_for_port)
    for file in current.parent.glob("*.key"):
        try:
            if kept is not None and file != current and file.read_text().strip() == kept:
                file.unlink()
        except OSError:
            continue  # gone a moment ago, or not ours to read


def local_key_file(port: int) -> Path:
    """Where the SDK looks, too: the two must agree."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "agenttracer" / "local" / f"{port}.key"


def _kept(state_dir: Path) -> Path:
    return state_dir / "secrets" / "ingest_key"
