"""The rules that keep the store ready for Citus, as a reader of SQL text: which rules a statement or a schema breaks.

Citus spreads the run tables over servers by `project`. A statement that names its project runs on one of them as on plain
PostgreSQL. What Citus refuses, or would do on all servers at once, is listed in `RULES`. Nothing here knows a certain statement.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ddl import distribution
from ddl.migration import split
from tests.architecture.sql_reader import Arm, Group, Item, Table, arms, flat, is_query, tree

RULES: Final[Mapping[str, str]] = {
    "R1": "no SELECT without columns: write SELECT 1",
    "R2": "rows of a run table are locked only where `project = $n` stands beside",
    "R3": "a LATERAL with a LIMIT over a run table has `project = $n` inside",
    "R4": "DO UPDATE SET is immutable: no now(), and intervals are added AT TIME ZONE 'UTC'",
    "R5": "no stable function over a column in UPDATE or DELETE: compute it in a CTE",
    "R6": "no now() inside COALESCE or CASE of a write",
    "R7": "no function in LANGUAGE sql over run tables: inline it",
    "R8": "settings that policies read are set by SET LOCAL, never by set_config()",
    "R9": "every run table in a statement has its own `project = $n`; no view joins two of them",
    "R10": "temporary tables are not correlated inside EXISTS",
    "R11": "an INSERT ... SELECT into a run table has ON CONFLICT",
}

_NOW: Final = {"now", "current_timestamp", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "localtimestamp"}
_STABLE: Final = {"date_trunc", "to_char", "extract", "date_part", "date_bin", "age", "to_timestamp", "to_date"}
_RUN_TABLES: Final = distribution.DISTRIBUTED | distribution.VIEWS


@dataclass(frozen=True)
class Statements:
    """Breaches of the rules by statements. `sql_functions` are those of the schema in LANGUAGE sql over run tables."""

    sql_functions: frozenset[str] = field(default_factory=frozenset)

    def breaches(self, text: str) -> set[str]:
        """The rules that a statement breaks."""
        found: set[str] = set()
        for statement in split(text):
            items = tree(statement)
            words = list(flat(items))
            if "set_config" in words:
                found.add("R8")
            if self.sql_functions.intersection(words):
                found.add("R7")
            if not is_query(items):
                continue
            for arm in arms(items):
                found |= set(_of_arm(arm))
            found |= set(_of_exists(items))
        return found


def _of_arm(arm: Arm) -> Iterator[str]:
    if any(
        item == "select" and arm.word(at + 1) in ("from", "where", "") and not _has_more(arm, at)
        for at, item in enumerate(arm.items)
    ):
        yield "R1"
    read = [table for table in arm.tables if table.name in _RUN_TABLES and not table.is_target_of_insert]
    unbound = [table for table in read if not arm.has_project(table)]
    if unbound:
        yield "R9"
        if _locks(arm, unbound):
            yield "R2"
        if "lateral" in arm.path and "limit" in arm.items:
            yield "R3"
    if arm.target in distribution.LOCAL | distribution.TEMPORARY:
        yield from _of_any_write(arm)
        return
    updated = list(flat(arm.clause("do", "update", "set")))
    if _NOW.intersection(updated) or _adds_interval(updated):
        yield "R4"
    if arm.verb in ("update", "delete") and _stable_over_column(arm.items):
        yield "R5"
    if arm.verb == "insert" and "select" in arm.items and "conflict" not in arm.items and arm.target in _RUN_TABLES:
        yield "R11"
    yield from _of_any_write(arm)


def _has_more(arm: Arm, at: int) -> bool:
    return at + 1 < len(arm.items) and not isinstance(arm.items[at + 1], str)


def _of_any_write(arm: Arm) -> Iterator[str]:
    if arm.verb not in ("insert", "update", "delete"):
        return
    words = list(flat(arm.items))
    depth = cases = 0
    for at, word in enumerate(words):
        cases += (word == "case") - (word == "end")
        if word == "coalesce":
            depth = 1
        elif depth:
            depth += (word == "(") - (word == ")") if at and words[at - 1] != "coalesce" else 0
        if (depth or cases) and word in _NOW:
            yield "R6"
            return


def _locks(arm: Arm, tables: Sequence[Table]) -> bool:
    for at, item in enumerate(arm.items):
        if item == "for" and arm.word(at + 1) in ("update", "share", "no", "key"):
            rest = [arm.word(n) for n in range(at, len(arm.items))]
            return "of" not in rest or any(table.alias in rest[rest.index("of") :] for table in tables)
    return False


def _adds_interval(words: Sequence[str]) -> bool:
    for at, word in enumerate(words):
        added = word in ("interval", "make_interval") and at and words[at - 1] in "+-"
        if added and words[max(0, at - 5) : at - 1] != ["at", "time", "zone", "'UTC'"]:
            return True
    return False


def _stable_over_column(items: Sequence[Item]) -> bool:
    for at, item in enumerate(items):
        if isinstance(item, Group):
            if at and items[at - 1] in _STABLE and _names_column(item):
                return True
            if not is_query(item) and _stable_over_column(item):
                return True
    return False


def _names_column(group: Group) -> bool:
    words = [word for word in flat(group) if word not in ("epoch", "from")]
    return any(
        re.fullmatch(r"[a-z_]\w*", word) is not None and not (at and words[at - 1] == "::") for at, word in enumerate(words)
    )


def _of_exists(items: Sequence[Item]) -> Iterator[str]:
    for at, item in enumerate(items):
        if not isinstance(item, Group):
            continue
        if at and items[at - 1] == "exists":
            for arm in arms(item):
                aliases = {table.alias for table in arm.sources}
                named = set(_qualifiers(arm.items))
                if any(table.name in distribution.TEMPORARY for table in arm.tables) and named - aliases:
                    yield "R10"
        yield from _of_exists(item)


def _qualifiers(items: Sequence[Item]) -> Iterator[str]:
    words = list(flat(items))
    return (words[at - 1] for at, word in enumerate(words) if word == "." and at)


# Schemas and migrations


def sql_functions(schema: str) -> frozenset[str]:
    """The functions of a schema in LANGUAGE sql that read a run table."""
    found = set()
    for match in re.finditer(
        r"CREATE (?:OR REPLACE )?FUNCTION (?:\w+\.)?(\w+)(.*?)(?=^CREATE |\Z)", schema, re.DOTALL | re.MULTILINE
    ):
        name, body = match[1], match[2].lower()
        if re.search(r"language\s+sql\b", body) and any(re.search(rf"\b{table}\b", body) for table in _RUN_TABLES):
            found.add(name)
    return frozenset(found)


def catalog_breaches(schema: str) -> list[str]:
    """Breaches of the rules of the catalog by a whole schema."""
    found = []
    for statement in split(schema):
        words = list(flat(tree(statement)))
        head = " ".join(words[:3])
        if head.startswith("create table") and "partition" not in words[3:9]:
            found += _table_breaches(words)
        if head.startswith(("create sequence", "alter sequence")) or {"serial", "bigserial", "identity"}.intersection(words):
            found.append(f"a sequence: {statement[:80]}")
        if "references" in words or "foreign" in words:
            found.append(f"a foreign key: {statement[:80]}")
        if (_is_key(words) or head.startswith("create unique index")) and _of_run_table(words) and "project" not in words:
            found.append(f"a unique index without project: {statement[:80]}")
        if head.startswith("create view"):
            tables = [word for word in words[words.index("as") :] if word in distribution.DISTRIBUTED]
            if len({*tables}) > 1:
                found.append(f"a view over more than one run table: {statement[:80]}")
    return found


def _is_key(words: Sequence[str]) -> bool:
    return words[:2] == ["alter", "table"] and ("primary" in words or "unique" in words)


def _of_run_table(words: Sequence[str]) -> bool:
    return any(word in distribution.DISTRIBUTED for word in words[:10])


def _table_breaches(words: Sequence[str]) -> list[str]:
    name = words[words.index("(") - 1]
    if name in distribution.DISTRIBUTED | distribution.REFERENCE | distribution.LOCAL:
        return []
    return [f"table {name} is in no class of ddl/distribution.py"]


def migration_breaches(text: str) -> list[str]:
    """Breaches of the rules of new migrations by one file."""
    found = []
    for statement in split(text):
        items = tree(statement)
        words = list(flat(items))
        where = statement[:80]
        if {"serial", "bigserial", "identity", "references"}.intersection(words):
            found.append(f"a sequence or a foreign key: {where}")
        if words[:2] == ["alter", "table"]:
            actions = sum(item == "," for item in items) + 1
            if "constraint" in words and "add" in words and actions > 1:
                found.append(f"a constraint is not alone in its ALTER: {where}")
            if {"check", "unique", "primary"}.intersection(words) and "constraint" not in words:
                found.append(f"a constraint has no name, or is inside ADD COLUMN: {where}")
            if "column" in words and {"check", "unique", "primary"}.intersection(words):
                found.append(f"a constraint inside ADD COLUMN: {where}")
        elif words[:2] == ["create", "table"] and "partition" not in words[3:6]:
            found += [f"a constraint has no name: {where}" for _ in _unnamed(words)]
        elif words[:1] == ["create"] and "function" in words[:4] and re.search(r"\blanguage\s+sql\b", statement, re.IGNORECASE):
            found += [
                f"a function in LANGUAGE sql over {name}: {where}" for name in _RUN_TABLES if re.search(rf"\b{name}\b", statement)
            ]
        found += [f"a SELECT without columns: {where}"] if re.search(r"\bSELECT\s+FROM\b", statement) else []
    return found


def _unnamed(words: Sequence[str]) -> Iterator[str]:
    for at, word in enumerate(words):
        if word in ("check", "unique", "primary") and words[at - 2] != "constraint":
            yield word
