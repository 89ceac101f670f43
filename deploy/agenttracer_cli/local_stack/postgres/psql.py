"""Runs single SQL statements through the psql program, so that the stack can manage its server without an event loop."""

import os
import re
import subprocess
from pathlib import Path

from agenttracer_cli.errors import DeployError
from agenttracer_cli.local_stack.ports import LOOPBACK

_TIMEOUT_S = 60
_CONNECT_TIMEOUT_S = 5
_OPTIONS = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=sqlstate")
_NO_CONNECTION = "08000"
_CANCELED = "57014"
_ERROR_CODE = re.compile(r"ERROR:\s+([0-9A-Z]{5})\s*$", re.MULTILINE)


class PsqlError(DeployError):
    """The statement failed; only its SQLSTATE is kept, because the text may hold values of rows."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"PostgreSQL answered with SQLSTATE {sqlstate}; see the PostgreSQL manual's appendix of error codes")
        self.sqlstate = sqlstate


class Psql:
    """A way to run statements as one role in one database."""

    def __init__(self, program: Path, *, port: int, role: str, password: str, database: str) -> None:
        self._program = program
        self._environment = {
            "PATH": os.defpath,
            "PGHOST": LOOPBACK,
            "PGPORT": str(port),
            "PGUSER": role,
            "PGPASSWORD": password,
            "PGDATABASE": database,
            "PGCONNECT_TIMEOUT": str(_CONNECT_TIMEOUT_S),
            "PGAPPNAME": "agenttracer-local-stack",
        }

    def execute(self, statement: str, **variables: str) -> None:
        """Run a statement. Variables stand in it as psql's `:'value'` and `:"identifier"`."""
        self.value(statement, **variables)

    def value(self, statement: str, **variables: str) -> str:
        """Run a statement and give its only value as text."""
        # Through standard input: arguments are readable by everybody on the machine, and only there are variables replaced.
        script = "".join(f"\\set {name} '{value}'\n" for name, value in variables.items()) + f"{statement};\n"
        try:
            done = subprocess.run(  # noqa: S603  the wheel's own program, no shell
                [self._program, *_OPTIONS],
                input=script,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PsqlError(_CANCELED) from None
        if done.returncode != 0:
            raise PsqlError(_sqlstate(done.stderr))
        return done.stdout.strip()


def _sqlstate(error_text: str) -> str:
    """Give the code out of `ERROR:  42P04`; that of a connection exception when it never got as far as the statement."""
    found = _ERROR_CODE.search(error_text)
    return found.group(1) if found else _NO_CONNECTION
