"""Every call of a named statement, read from the source: it names a statement that there is, and the values that it has."""

import ast
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from servicekit.sql import Statement
from stream_workers.operations.rebuild import plan

ROOT = Path(__file__).parents[3]
PACKAGES = ("stream_workers", "query_service", "servicekit", "deploy/agenttracer_cli", "tests/chaos")


class Call(NamedTuple):
    """`where` it is, the statements of its file, the statement's name, the keywords, and whether more come by `**`."""

    where: str
    statements: Mapping[str, Statement]
    name: str
    keywords: frozenset[str]
    has_more: bool


def calls() -> Iterator[Call]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removeprefix("deploy.")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "bind":
                    yield from _call(node, node.func.value, module)


def _call(node: ast.Call, owner: ast.expr, module: str) -> Iterator[Call]:
    """Nothing for a statement whose name is not written at the call."""
    match owner:
        case ast.Subscript(value=ast.Name(id=table), slice=ast.Constant(value=str(name))):
            statements = getattr(importlib.import_module(module), table)
        case ast.Call(func=ast.Attribute(attr="statement"), args=[ast.Constant(value=str(name))]):
            statements = plan._QUERIES
        case _:
            return
    keywords = frozenset(one.arg for one in node.keywords if one.arg is not None)
    yield Call(f"{module}:{node.lineno}", statements, name, keywords, len(keywords) < len(node.keywords))


CALLS = list(calls())


@pytest.mark.parametrize("call", CALLS, ids=[f"{call.where}-{call.name}" for call in CALLS])
def test_a_call_passes_the_values_of_its_statement(call: Call) -> None:
    """Neither a missing nor an unknown one: else only the statement's first use would tell."""
    parameters = set(call.statements[call.name].parameters)
    assert call.keywords <= parameters
    assert call.has_more or call.keywords == parameters


def test_most_calls_are_read() -> None:
    """The reading above finds the calls: a new way of writing them must be added there."""
    assert len(CALLS) > 70
