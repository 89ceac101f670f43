"""The tree as imports draw it: which module imports which, circles among them, and what each module defines.

Read from the source, imports for type checkers included, so that no detour hides any.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

Graph = Mapping[str, set[str]]


class Tree:
    """The packages below some roots. A root is the folder that stands on the import path."""

    def __init__(self, packages: Mapping[str, Path]) -> None:
        """`packages`: the folder of each package by its name."""
        self.files = dict(_modules(packages))
        self.parsed = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in self.files.items()}

    def imports(self) -> Graph:
        """By module, the modules of the tree that it imports."""
        return {name: set(self._imported(tree)) for name, tree in self.parsed.items()}

    def importers(self, module: str) -> set[str]:
        """The modules that import this one."""
        return {name for name, imported in self.imports().items() if module in imported}

    def classes(self, package: str) -> set[str]:
        """Public classes that modules of a package define at their top."""
        return {node.name for node in self._definitions(package) if isinstance(node, ast.ClassDef) and node.name[0] != "_"}

    def defined(self, package: str) -> set[str]:
        """Every class and function that a package defines, at whatever depth."""
        kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        trees = (tree for name, tree in self.parsed.items() if _in(name, package))
        return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, kinds)}

    def single_functions(self) -> dict[str, str]:
        """By module, the function, where a module defines that alone."""
        found = {}
        for name, tree in self.parsed.items():
            definitions = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
            if len(definitions) == 1 and not isinstance(definitions[0], ast.ClassDef):
                found[name] = definitions[0].name
        return found

    def _definitions(self, package: str) -> Iterator[ast.stmt]:
        for name, tree in self.parsed.items():
            if _in(name, package):
                yield from tree.body

    def _imported(self, tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.files)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    submodule = f"{node.module}.{alias.name}"
                    if submodule in self.files:
                        yield submodule
                    elif node.module in self.files:
                        yield node.module


def circle(graph: Graph) -> list[str]:
    """One circle of modules that import each other, the first one again at its end; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as found:
        return list(found.args[1])
    return []


def crowded(folders: Iterable[Path], *, most: int) -> dict[Path, int]:
    """Folders below these with more modules than that, `__init__` not counted."""
    counts: dict[Path, int] = defaultdict(int)
    for folder in folders:
        for path in folder.rglob("*.py"):
            counts[path.parent] += path.name != "__init__.py"
    return {folder: count for folder, count in counts.items() if count > most}


def _modules(packages: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    for package, folder in packages.items():
        for path in folder.rglob("*.py"):
            inner = path.relative_to(folder).with_suffix("").parts
            yield ".".join((package, *(part for part in inner if part != "__init__"))), path


def _in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
