"""The loader of named statements, and the rules that this service's file keeps."""

from pathlib import Path

import pytest

from query_service.store.pool import STATEMENTS
from servicekit.sql import Statement, load


def written(folder: Path, text: str) -> Path:
    path = folder / "queries.sql"
    path.write_text(text, encoding="utf-8")
    return path


def test_statements_by_name(tmp_path: Path) -> None:
    """Each statement comes back under its name, with its why and without its closing semicolon."""
    path = written(tmp_path, "-- about\n\n-- name: one\n-- Why.\nSELECT 1;\n\n-- name: two\n-- Why\n-- at length.\nSELECT 2\n")
    assert {name: statement.text for name, statement in load(path).items()} == {
        "one": "-- name: one\n-- Why.\nSELECT 1",
        "two": "-- name: two\n-- Why\n-- at length.\nSELECT 2",
    }


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1;\n-- name: one\n-- Why.\nSELECT 1;",
        "-- name: one\nSELECT 1;",
        "-- name: one\n-- Why.\n",
        "-- name: One\n-- Why.\nSELECT 1;",
        "-- name:\n-- Why.\nSELECT 1;",
        "-- name: one\n-- Why.\nSELECT 1;\n-- name: one\n-- Why.\nSELECT 1;",
        "-- name: one\n-- Why.\nSELECT $1;",
    ],
)
def test_malformed_file(tmp_path: Path, text: str) -> None:
    """A statement without name, why or text, with a name given twice, or with a value by position, is an error at load."""
    with pytest.raises(ValueError, match=r"queries\.sql"):
        load(written(tmp_path, text))


def statement(tmp_path: Path, sql: str) -> Statement:
    return load(written(tmp_path, f"-- name: one\n-- Why.\n{sql};\n"))["one"]


def test_values_by_name(tmp_path: Path) -> None:
    """A name is numbered at its first use and may be used again; callers pass keywords in any order."""
    one = statement(tmp_path, "SELECT :later + :first WHERE x = :later")
    assert one.parameters == ("later", "first")
    assert one.bind(first=1, later=2) == ("-- name: one\n-- Why.\nSELECT $1 + $2 WHERE x = $1", 2, 1)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT x::text, 'a'::timestamptz",
        "SELECT ':no', 'it''s :no', \":no\"",
        "SELECT 1 -- not :this",
        "SELECT 1 /* nor :this\n   :that */",
        "SELECT $$ :no $$, $tag$ :no $tag$",
        "SELECT x[1:2]",
    ],
)
def test_what_only_looks_like_a_parameter(tmp_path: Path, sql: str) -> None:
    """Casts, strings, quoted names, comments and slices stay as they are."""
    one = statement(tmp_path, sql)
    assert one.parameters == ()
    assert one.text.endswith(sql)


def test_a_parameter_may_be_cast(tmp_path: Path) -> None:
    """The name ends where the cast begins."""
    assert statement(tmp_path, "SELECT :a::text, (:b)::int").text.endswith("SELECT $1::text, ($2)::int")


@pytest.mark.parametrize("values", [{}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 2}])
def test_a_missing_or_unknown_value_is_an_error_at_the_call(tmp_path: Path, values: dict[str, int]) -> None:
    """The error names the statement and the names, and never a value."""
    one = statement(tmp_path, "SELECT :a, :b")
    with pytest.raises(TypeError, match="statement one: "):
        one.bind(**values)
    with pytest.raises(TypeError, match="statement one: "):
        one.bind_many([{"a": 1, "b": 2}, values])


def test_many_executions_of_one_statement(tmp_path: Path) -> None:
    """Each row's values come in the server's order."""
    one = statement(tmp_path, "SELECT :a, :b")
    assert one.bind_many([{"b": 2, "a": 1}, {"a": 3, "b": 4}]) == (one.text, [(1, 2), (3, 4)])


def test_every_data_statement_says_the_project() -> None:
    """Row level security is the second lock: each statement on data names the project itself."""
    for name, one in STATEMENTS.items():
        project = f"project = ${one.parameters.index('project') + 1}" if "project" in one.parameters else "-"
        assert project in one.text, name
