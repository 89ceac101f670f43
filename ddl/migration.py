"""Migrations as files: what each is called, its checksum, and the statements that it is made of. Nothing here connects.

A file is applied in one transaction, and readers and writers of a table that it changes wait meanwhile. A file that begins with
`-- online` is applied without a transaction: it makes and drops indexes of large tables while others read and write them. Such a
file holds nothing else, and each of its statements can be repeated, since a killed migrator leaves some of them done.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "migrations"
_ONLINE: Final = "-- online"
_SPLIT_FROM: Final = 10
"""Files from this version on are executed statement by statement, as a cluster of several servers needs it."""
_MAKES_ROLE: Final = "EXECUTE format('CREATE ROLE %I LOGIN', role_name);"
_MAKES_MISSING_ROLE: Final = (
    f"IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN {_MAKES_ROLE} END IF;"
)
"""CREATE ROLE is refused to a user without the right to it, even for a role that exists. The file is applied in many stores and
cannot change, so the executed text looks first; the checksum stays that of the file."""
_OPAQUE: Final = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | '(?:[^']|'')*' | "(?:[^"]|"")*" | (?P<quote>\$[a-z_]*\$).*?(?P=quote) | (?P<end>;)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `migrations/`: `0001_store.sql` has version 1 and name `store`. `sql` is what is executed."""

    version: int
    name: str
    sql: str
    checksum: str

    @property
    def statements(self) -> Sequence[str]:
        """Its text in the parts in which it is sent."""
        return split(self.sql) if self.version >= _SPLIT_FROM else [self.sql]

    @property
    def online(self) -> bool:
        """Whether it is applied without a transaction."""
        return self.sql.startswith(_ONLINE)


def migrations() -> Sequence[Migration]:
    """All migrations in order."""
    return [_load(path) for path in sorted(_FOLDER.glob("*.sql"))]


def split(text: str) -> list[str]:
    """The statements of a text, cut at the semicolons outside of strings and comments. Comments stay with what they precede."""
    found, begin = [], 0
    for token in _OPAQUE.finditer(text):
        if token["end"]:
            found.append(text[begin : token.start()].strip())
            begin = token.end()
    rest = text[begin:].strip()
    return [*found, rest] if re.sub(r"--[^\n]*", "", rest).strip() else found


def _load(path: Path) -> Migration:
    version, _, name = path.stem.partition("_")
    text = path.read_text(encoding="utf-8")
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return Migration(version=int(version), name=name, sql=text.replace(_MAKES_ROLE, _MAKES_MISSING_ROLE), checksum=checksum)
