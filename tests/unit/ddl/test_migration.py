"""A migration's text in the statements that it is sent in."""

import pytest

from ddl.migration import Migration, split


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1;\n\n-- and that is all\n", ["SELECT 1"]),
        ("-- why; because\nSELECT ';';", ["-- why; because\nSELECT ';'"]),
        ("DO $$ BEGIN NULL; END $$; SELECT 1;", ["DO $$ BEGIN NULL; END $$", "SELECT 1"]),
        ("CREATE TABLE \"a;b\" (x text DEFAULT 'it''s; fine')", ["CREATE TABLE \"a;b\" (x text DEFAULT 'it''s; fine')"]),
        ("/* a; b */ SELECT 1", ["/* a; b */ SELECT 1"]),
        ("", []),
    ],
)
def test_statements_are_cut_at_their_semicolons(text: str, statements: list[str]) -> None:
    """And nowhere else: neither in strings and names, nor in comments and bodies of functions."""
    assert split(text) == statements


def test_only_new_migrations_are_cut() -> None:
    """Those before are in stores as they were executed, one of them with a body of SQL that has semicolons of its own."""
    assert len(Migration(version=9, name="old", sql="SELECT 1; SELECT 2", checksum="").statements) == 1
    assert len(Migration(version=10, name="new", sql="SELECT 1; SELECT 2", checksum="").statements) == 2


def test_an_online_migration_says_so_in_its_first_line() -> None:
    """Nowhere else."""
    assert Migration(version=10, name="new", sql="-- online\nSELECT 1", checksum="").online
    assert not Migration(version=10, name="new", sql="SELECT 1 -- online", checksum="").online
