from pathlib import Path

import pytest

from agenttracer_cli.local_stack.postgres.psql import Psql, PsqlError


def fake_psql(folder: Path, script: str) -> Psql:
    program = folder / "psql"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Psql(program, port=1, role="owner", password="pw", database="db")


def test_statement_and_variables_go_through_standard_input(tmp_path: Path) -> None:
    """Nothing that is secret stands in the arguments, which every user of the machine can read."""
    psql = fake_psql(tmp_path, f'echo "$@" > {tmp_path}/arguments; cat')
    assert psql.value("SELECT :'x'", x="secret") == "\\set x 'secret'\nSELECT :'x';"
    assert "secret" not in (tmp_path / "arguments").read_text()


@pytest.mark.parametrize(
    ("message", "sqlstate"),
    [
        ("ERROR:  42P04", "42P04"),
        ('psql: error: connection to server at "127.0.0.1" failed: FATAL:  password is wrong', "08000"),
        ("", "08000"),
    ],
)
def test_an_error_is_its_sqlstate(tmp_path: Path, message: str, sqlstate: str) -> None:
    """The server's text, which can hold values of rows, is dropped."""
    psql = fake_psql(tmp_path, f"echo '{message}' >&2; exit 3")
    with pytest.raises(PsqlError) as caught:
        psql.execute("SELECT 1")
    assert caught.value.sqlstate == sqlstate
    assert "password" not in str(caught.value)
