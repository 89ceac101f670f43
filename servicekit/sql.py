"""Named SQL statements with named parameters, loaded from the file that stands beside their caller.

A statement begins with `-- name: its_name`; the comment line right below gives the reason why it is as it is. Name and reason
are sent with the statement, so that a running query in `pg_stat_activity` leads back to its file. A value is written as `:name`.
Loading numbers the names once: the server gets `$1`, `$2` and so on, and callers pass keywords:

    await connection.fetch(*STATEMENTS["find_runs"].bind(project="shop", limit=50))

What several statements say alike stands once, in a file `its_name.part` beside them; a line `-- include: its_name` has its text.

Nothing here knows a database, a driver or a certain statement.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

_HEAD: Final = re.compile(r"^-- name:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_INCLUDE: Final = re.compile(r"^[ \t]*-- include:[ \t]*([a-z][a-z0-9_]*)[ \t]*$", re.MULTILINE)
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_TOKEN: Final = re.compile(
    r"""
    --[^\n]* | /\*.*?\*/                # comments
    | '(?:[^']|'')*'                    # strings
    | "(?:[^"]|"")*"                    # quoted names
    | (?P<quote>\$[a-z_]*\$).*?(?P=quote)  # dollar-quoted strings
    | ::                                # casts
    | (?P<position>\$\d+)               # parameters by position
    | :(?P<name>[a-z][a-z0-9_]*)        # parameters by name
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as the server gets it. `parameters` are the names of its values: the first one is `$1`."""

    name: str
    text: str
    parameters: tuple[str, ...] = ()

    def bind(self, **values: object) -> tuple[Any, ...]:
        """The text and its values in the server's order. Raises TypeError for a missing or an unknown name."""
        return (self.text, *self._ordered(values))

    def bind_many(self, rows: Iterable[Mapping[str, object]]) -> tuple[str, list[tuple[Any, ...]]]:
        """The text and the values of many executions, for `executemany`. Raises TypeError as `bind` does."""
        return self.text, [self._ordered(row) for row in rows]

    def with_text(self, text: str) -> "Statement":
        """A statement with the same parameters and another text."""
        return replace(self, text=text)

    def _ordered(self, values: Mapping[str, object]) -> tuple[Any, ...]:
        if len(values) != len(self.parameters) or any(name not in values for name in self.parameters):
            missing, unknown = set(self.parameters) - values.keys(), values.keys() - set(self.parameters)
            raise TypeError(f"statement {self.name}: missing values {sorted(missing)}, unknown values {sorted(unknown)}")
        return tuple([values[name] for name in self.parameters])


def load(path: Path) -> Mapping[str, Statement]:
    """Every statement of the file by its name.

    Raises ValueError for a malformed or doubled name, a statement without a reason, and a parameter by position (`$1`), and
    OSError for a part that is not there.
    """

    def part(found: re.Match[str]) -> str:
        return path.with_name(f"{found[1]}.part").read_text(encoding="utf-8").strip()

    before, *parts = _HEAD.split(_INCLUDE.sub(part, path.read_text(encoding="utf-8")))
    if any(line and not line.startswith("--") for line in before.splitlines()):
        raise ValueError(f"{path.name}: text before the first statement's name")
    statements: dict[str, Statement] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if not _NAME.fullmatch(name) or name in statements:
            raise ValueError(f"{path.name}: statement name {name!r} is malformed or doubled")
        statements[name] = _statement(name, body=body.strip(), file=path.name)
    return MappingProxyType(statements)


def _statement(name: str, *, body: str, file: str) -> Statement:
    lines = body.splitlines()
    if not lines or not lines[0].startswith("-- "):
        raise ValueError(f"{file}: statement {name} does not say why")
    if all(line.startswith("--") or not line for line in lines):
        raise ValueError(f"{file}: statement {name} is empty")
    text, parameters = _numbered(f"-- name: {name}\n{body.rstrip(';')}", f"{file}: statement {name}")
    return Statement(name, text, parameters)


def _numbered(source: str, where: str) -> tuple[str, tuple[str, ...]]:
    """The text with `$n` in place of each name, and the names in the order of their numbers: that of their first use."""
    numbers: dict[str, int] = {}

    def number(token: re.Match[str]) -> str:
        if token["position"]:
            raise ValueError(f"{where} has the parameter {token['position']}; give it a name")
        name = token["name"]
        return f"${numbers.setdefault(name, len(numbers) + 1)}" if name else token[0]

    text = _TOKEN.sub(number, source)
    return text, tuple(numbers)
