"""Starts a program that refuses to run as root, such as PostgreSQL, as an unprivileged account.

The plain way is to drop to the account. That fails below a folder which the account may not enter
(root's home, a private temporary folder); then util-linux's `setpriv` keeps one capability, to walk through closed folders.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agenttracer_cli.errors import ProvisionError
from agenttracer_cli.local_stack.owned_process import AS_SELF, Identity
from agenttracer_cli.local_stack.start_deadline import start_limit_s, too_slow

ACCOUNT = "nobody"
_REFUSAL = "PostgreSQL refuses to run as root"


@dataclass(frozen=True)
class PrivilegeDrop:
    """A way to start a program without root's privileges: an identity to drop to, or a command in front."""

    identity: Identity = AS_SELF
    prefix: tuple[str, ...] = ()


def account_for(data: Path) -> Identity:
    """Give the account that owns, or is to own, this data directory: the caller's, unless that is root."""
    if os.geteuid() != 0:
        return AS_SELF
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Identity(owner.st_uid, owner.st_gid)
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise ProvisionError(f"{_REFUSAL}, and there is no account `{ACCOUNT}`; run as an ordinary user") from None
    return Identity(account.pw_uid, account.pw_gid)


def privilege_drop_for(account: Identity, *, program: Path, data: Path) -> PrivilegeDrop:
    """Find a way to run `program` on `data` as that account. Raises ProvisionError if none works."""
    for drop in _ways(account):
        if _works(drop, program=program, data=data):
            return drop
    raise ProvisionError(
        f"{_REFUSAL}, and user id {account.uid} cannot reach {program.parent} or {data}; run as an ordinary user, "
        "use a state directory that every account may enter (--state-dir), or install util-linux (setpriv)"
    )


def _ways(account: Identity) -> Iterator[PrivilegeDrop]:
    yield PrivilegeDrop(identity=account)
    if account != AS_SELF and (setpriv := shutil.which("setpriv")):
        yield PrivilegeDrop(prefix=_capable(setpriv, account))


def _capable(setpriv: str, account: Identity) -> tuple[str, ...]:
    return (
        setpriv,
        f"--reuid={account.uid}",
        f"--regid={account.gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        # Else access(2), with which PostgreSQL looks at its own program file, answers as if the capability were not there.
        "--securebits=+no_setuid_fixup",
    )


def _works(drop: PrivilegeDrop, *, program: Path, data: Path) -> bool:
    probe = ("/bin/sh", "-c", 'test -r "$0" && test -x "$0" && "$0" --version && cd "$1" && : > .probe && rm .probe')
    try:
        done = run(drop, (*probe, str(program), str(data)))
    except OSError:
        return False
    return done.returncode == 0


def run(drop: PrivilegeDrop, argv: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a short program to its end without root's privileges, with a bare environment. Raises StartError if it hangs."""
    identity = drop.identity
    try:
        return subprocess.run(  # noqa: S603  our own argument list, no shell
            (*drop.prefix, *argv),
            user=identity.uid,
            group=identity.gid,
            extra_groups=None if identity.uid is None else [],
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=start_limit_s(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise too_slow(Path(argv[0]).name) from None
