"""Builds the wheel without the docstrings of private modules: they are a fifth of it, and no user of the package reads them.

The modules that the package's public names come from keep theirs, for `help` and for editors. Every line keeps its number and
every statement its meaning, so that a traceback is right. A checkout, an editable install and the sdist have all the text.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PACKAGE: Final = "agenttracer"
_SHARED: Final = "rules"
"""What the services share with the SDK: no part of its surface either."""


class CustomBuildHook(BuildHookInterface[Any]):
    """Puts shortened copies in the place of the private modules."""

    _copies: TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """A checkout in development is imported as it is."""
        if self.target_name != "wheel" or version == "editable":
            return
        self._copies = TemporaryDirectory()
        root, folder = Path(self.root), Path(self._copies.name)
        for number, module in enumerate(_private_modules(root / _PACKAGE)):
            copy = folder / f"{number}.py"
            copy.write_text(_without_docstrings(module.read_text(encoding="utf-8")), encoding="utf-8")
            build_data["force_include"][str(copy)] = module.relative_to(root).as_posix()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - the hook's own form
        """The copies are in the wheel."""
        if self._copies is not None:
            self._copies.cleanup()


def _private_modules(package: Path) -> Iterator[Path]:
    public = _sources_of_public_names(package / "__init__.py")
    for module in sorted(package.rglob("*.py")):
        parts = module.relative_to(package).with_suffix("").parts
        is_private = parts[0] == _SHARED or any(part.startswith("_") and not part.startswith("__") for part in parts)
        if is_private and ".".join((_PACKAGE, *parts)) not in public:
            yield module


def _sources_of_public_names(surface: Path) -> set[str]:
    imports = (node for node in ast.walk(ast.parse(surface.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom))
    return {str(node.module) for node in imports}


def _without_docstrings(source: str) -> str:
    """The same module with blank lines for its docstrings, those of attributes included."""
    lines = source.splitlines(keepends=True)
    for owner in ast.walk(ast.parse(source)):
        body = getattr(owner, "body", None)
        if not isinstance(body, list):
            continue  # an expression, of a lambda
        texts = [statement for statement in body if _is_text(statement)]
        for text in texts:
            lines[text.lineno - 1 : text.end_lineno] = ["\n"] * (text.end_lineno - text.lineno + 1)
        if texts and len(texts) == len(body):  # a body needs a statement
            lines[texts[0].lineno - 1] = f"{' ' * texts[0].col_offset}...\n"
    return "".join(lines)


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)
    )
