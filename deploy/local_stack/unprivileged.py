"""How root starts a program that refuses to run as root: as an unprivileged account, wherever the checkout lies.

PostgreSQL is such a program. The plain way is to drop to the account. That fails below a folder which the account may not enter
(root's home, a private temporary folder); then util-linux's `setpriv` keeps one capability, to walk through closed folders.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import ProvisionError
from deploy.local_stack.owned_process import AS_SELF, Identity

ACCOUNT = "nobody"
_TIMEOUT_S = 120  # initdb on a slow disk
_REFUSAL = "PostgreSQL refuses to run as root"


@dataclass(frozen=True)
class Disguise:
    """How to start programs so that they do not run as root: an identity to drop to, or a command to put in front."""

    identity: Identity = AS_SELF
    prefix: tuple[str, ...] = ()


def account_for(data: Path) -> Identity:
    """Give the account that owns, or is to own, this data directory; whoever runs us, unless that is root."""
    if os.geteuid() != 0:
        return AS_SELF
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Identity(owner.st_uid, owner.st_gid)
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise ProvisionError(f"{_REFUSAL}, and there is no account `{ACCOUNT}`; run as an ordinary user") from None
    return Identity(account.pw_uid, account.pw_gid)


def disguise_for(account: Identity, *, program: Path, data: Path) -> Disguise:
    """Find a way to run `program` on `data` as that account. Raises ProvisionError if none works."""
    for disguise in _ways(account):
        if _works(disguise, program=program, data=data):
            return disguise
    raise ProvisionError(
        f"{_REFUSAL}, and user id {account.uid} cannot reach {program.parent} or {data}; run as an ordinary user, "
        "move the checkout to where every account may enter, or install util-linux (setpriv)"
    )


def _ways(account: Identity) -> Iterator[Disguise]:
    yield Disguise(identity=account)
    if account != AS_SELF and (setpriv := shutil.which("setpriv")):
        yield Disguise(prefix=_capable(setpriv, account))


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


def _works(disguise: Disguise, *, program: Path, data: Path) -> bool:
    probe = ("/bin/sh", "-c", 'test -r "$0" && test -x "$0" && "$0" --version && cd "$1" && : > .probe && rm .probe')
    try:
        done = run(disguise, (*probe, str(program), str(data)))
    except OSError:
        return False
    return done.returncode == 0


def run(disguise: Disguise, argv: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a short program to its end in that disguise, with a bare environment."""
    identity = disguise.identity
    return subprocess.run(  # noqa: S603  our own argument list, no shell
        (*disguise.prefix, *argv),
        user=identity.uid,
        group=identity.gid,
        extra_groups=None if identity.uid is None else [],
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
