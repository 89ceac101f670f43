"""Reads SQL text as far as the rules of `citus_rules` ask: which tables each SELECT, INSERT, UPDATE and DELETE names, and how."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(
    r"(?P<skip>\s+|--[^\n]*|/\*.*?\*/)|(?P<string>E?'(?:[^']|'')*'|(?P<tag>\$[a-z_]*\$).*?(?P=tag))|(?P<param>\$\d+)"
    r'|(?P<word>[a-z_][a-z0-9_]*|"(?:[^"]|"")*"|\d[\d.]*)|(?P<symbol>::|<>|<=|>=|!=|->>|->|\|\||@>|&&|.)',
    re.IGNORECASE | re.DOTALL,
)
_QUERY_WORDS: Final = {"select", "with", "insert", "update", "delete"}
_SET_OPERATIONS: Final = {"union", "intersect", "except"}
_END_OF_FROM: Final = {
    "where", "group", "order", "limit", "having", "for", "returning", "window", "offset", "fetch", "conflict", "set",
}  # fmt: skip
_NO_ALIAS: Final = _END_OF_FROM | {
    "on", "using", "join", "cross", "left", "right", "full", "inner", "natural", "select", "values", "default", "overriding",
}  # fmt: skip


class Group(list["Item"]):
    """What stands between two parentheses."""


Item = str | Group


def tree(text: str) -> Group:
    """The tokens of a text in lower case without comments; what is between parentheses is a `Group`."""
    root = Group()
    stack = [root]
    for token in _TOKEN.finditer(text):
        if token["skip"]:
            continue
        found = token[0] if token["string"] else token[0].strip('"').lower()
        if found == "(":
            stack[-1].append(Group())
            stack.append(stack[-1][-1])  # type: ignore[arg-type]  # it was appended a line above
        elif found == ")":
            stack.pop()
        else:
            stack[-1].append(found)
    return root


def flat(items: Iterable[Item]) -> Iterator[str]:
    for item in items:
        if isinstance(item, Group):
            yield "("
            yield from flat(item)
            yield ")"
        else:
            yield item


def is_query(group: Group) -> bool:
    return bool(group) and (group[0] in _QUERY_WORDS if isinstance(group[0], str) else is_query(group[0]))


class Table(NamedTuple):
    """A table that an arm reads or writes, by the name that its conditions use."""

    name: str
    alias: str
    is_target_of_insert: bool = False


@dataclass(frozen=True)
class Arm:
    """One SELECT, INSERT, UPDATE or DELETE without those nested in it. `path` are the words that it was found behind."""

    items: Sequence[Item]
    path: tuple[str, ...] = ()

    @cached_property
    def verb(self) -> str:
        """Its first word behind its CTEs."""
        return next((item for item in self.items if isinstance(item, str) and item in _QUERY_WORDS - {"with"}), "")

    @cached_property
    def tables(self) -> list[Table]:
        """Tables by name; subqueries and functions are left out, but count in `sources`."""
        return [table for table in self.sources if table.name]

    @cached_property
    def sources(self) -> list[Table]:
        """Everything that FROM, JOIN, USING, UPDATE and INSERT INTO name."""
        found, inside = [], False
        for at, item in enumerate(self.items):
            before = self.word(at - 1)
            if item == "from" and not (before == "distinct" and self.word(at - 2) in ("is", "not")):
                inside = True
                found.append(self._source(at + 1))
            elif (
                inside and (item in (",", "join") or (item == "using" and self.verb == "delete" and self._is_name(at + 1)))
            ) or (item == "update" and before not in ("do", "for", "key")):
                found.append(self._source(at + 1))
            elif item == "into" and before == "insert":
                found.append(self._source(at + 1)._replace(is_target_of_insert=True))
            elif isinstance(item, str) and item in _END_OF_FROM:
                inside = False
        return found

    def word(self, at: int) -> str:
        """The word at a place; empty for parentheses and beyond the ends."""
        item = self.items[at] if 0 <= at < len(self.items) else ""
        return item if isinstance(item, str) else ""

    def _is_name(self, at: int) -> bool:
        return bool(self.word(at))

    def _source(self, at: int) -> Table:
        while self.word(at) in ("lateral", "only"):
            at += 1
        name = self.word(at)
        if self.word(at + 1) == ".":
            at, name = at + 2, self.word(at + 2)
        if not name or (self.verb != "insert" and at + 1 < len(self.items) and isinstance(self.items[at + 1], Group)):
            name = ""  # a subquery, or a function
            at += isinstance(self.items[at], str) if at < len(self.items) else 0
        at += 1
        if self.word(at) == "as":
            at += 1
        alias = self.word(at)
        return Table(name, alias if re.fullmatch(r"[a-z_]\w*", alias) and alias not in _NO_ALIAS else name)

    def has_project(self, table: Table) -> bool:
        """Whether `project = $n` of this very table is a condition. Without its name only where it is the one source."""
        alone = len([one for one in self.sources if not one.is_target_of_insert]) == 1
        for at, item in enumerate(self.items):
            if item != "project" or self.word(at + 1) != "=" or not self.word(at + 2).startswith("$"):
                continue
            qualified = self.word(at - 1) == "."
            if self.word(at - 3 if qualified else at - 1) in ("where", "and", "on") and (
                self.word(at - 2) == table.alias if qualified else alone
            ):
                return True
        return False

    def clause(self, *words: str) -> list[Item]:
        """What follows these words up to WHERE or RETURNING; empty where they do not stand there."""
        for at in range(len(self.items)):
            if tuple(map(self.word, range(at, at + len(words)))) == words:
                rest = self.items[at + len(words) :]
                end = next((n for n, item in enumerate(rest) if item in ("where", "returning")), len(rest))
                return list(rest[:end])
        return []

    @property
    def target(self) -> str:
        """The table that it writes; '' for SELECT."""
        if self.verb == "insert":
            return next(table.name for table in self.sources if table.is_target_of_insert)
        return self.sources[0].name if self.verb in ("update", "delete") and self.sources else ""


def arms(items: Sequence[Item], path: tuple[str, ...] = ()) -> Iterator[Arm]:
    """Every SELECT, INSERT, UPDATE and DELETE of a query, those nested in it too."""
    part: list[Item] = []
    parts = [part]
    for item in items:
        if isinstance(item, str) and item in _SET_OPERATIONS:
            part = []
            parts.append(part)
        else:
            part.append(item)
    for one in parts:
        arm = Arm(one, path)
        if arm.verb:
            yield arm
        for at, item in enumerate(one):
            if isinstance(item, Group):
                around = (*path, *(word for word in one[max(0, at - 3) : at] if isinstance(word, str)))
                yield from arms(item, (*around, "(")) if is_query(item) else _within(item, path)


def _within(group: Group, path: tuple[str, ...]) -> Iterator[Arm]:
    """Queries in the arguments of a function, or in a list of values."""
    for at, item in enumerate(group):
        if isinstance(item, Group):
            around = (*path, *(word for word in group[max(0, at - 2) : at] if isinstance(word, str)))
            yield from arms(item, (*around, "(")) if is_query(item) else _within(item, path)
