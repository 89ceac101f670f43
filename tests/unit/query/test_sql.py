"""The loader of named statements, and the rules that this service's file keeps."""

from pathlib import Path

import pytest

from query_service.postgres import STATEMENTS
from servicekit.sql import load


def written(folder: Path, text: str) -> Path:
    path = folder / "queries.sql"
    path.write_text(text, encoding="utf-8")
    return path


def test_statements_by_name(tmp_path: Path) -> None:
    """Each statement comes back under its name, with its why and without its closing semicolon."""
    path = written(tmp_path, "-- about\n\n-- name: one\n-- Why.\nSELECT 1;\n\n-- name: two\n-- Why\n-- at length.\nSELECT 2\n")
    assert dict(load(path)) == {
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
    ],
)
def test_malformed_file(tmp_path: Path, text: str) -> None:
    """A statement without name, why or text, or with a name given twice, is an error at load."""
    with pytest.raises(ValueError, match=r"queries\.sql"):
        load(written(tmp_path, text))


def test_every_data_statement_says_the_project() -> None:
    """Row level security is the second lock: each statement on data names the project itself."""
    for name, text in STATEMENTS.items():
        assert name in {"set_project", "ready"} or "project = $1" in text, name
