"""Loads named SQL statements from the file that stands beside their caller. Nothing here knows a database or a statement.

A statement begins with `-- name: its_name`; the comment line right below says why it is as it is. Both travel to the server
with the statement, so that whoever looks at running queries there finds the way back here.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

_HEAD: Final = re.compile(r"^-- name:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


def load(path: Path) -> Mapping[str, str]:
    """Every statement of the file by its name. Raises ValueError on a bad or doubled name, or a statement without a why."""
    before, *parts = _HEAD.split(path.read_text(encoding="utf-8"))
    if any(line and not line.startswith("--") for line in before.splitlines()):
        raise ValueError(f"{path.name}: text before the first statement's name")
    statements: dict[str, str] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if not _NAME.fullmatch(name) or name in statements:
            raise ValueError(f"{path.name}: statement name {name!r} is malformed or doubled")
        statements[name] = _statement(name, body=body.strip(), file=path.name)
    return MappingProxyType(statements)


def _statement(name: str, *, body: str, file: str) -> str:
    lines = body.splitlines()
    if not lines or not lines[0].startswith("-- "):
        raise ValueError(f"{file}: statement {name} does not say why")
    if all(line.startswith("--") or not line for line in lines):
        raise ValueError(f"{file}: statement {name} is empty")
    return f"-- name: {name}\n{body.rstrip(';')}"
