"""Finds the key that a local stack leaves for agents on this machine: one small file, and only for a gateway on loopback."""

import os
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_MAX_CHARS: Final = 200


def local_key(api_url: str) -> str | None:
    """The key of the local stack with this gateway, None without one. Reads a file: for the sender's thread."""
    parts = urlsplit(api_url)
    if parts.hostname not in _LOOPBACK:
        return None
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - pathlib costs milliseconds at import
    file = os.path.join(home, "agenttracer", "local", f"{parts.port or 80}.key")  # noqa: PTH118 - likewise
    try:
        with open(file, encoding="ascii") as opened:  # noqa: PTH123 - likewise
            key = opened.read(_MAX_CHARS).strip()
    except (OSError, ValueError):
        return None
    return key if key.replace("_", "").isalnum() else None
