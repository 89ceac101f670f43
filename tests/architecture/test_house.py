"""The tree stays one in which a stranger finds the way: small folders, no import circle, one word for one thing."""

from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.former_names import CLASSES, MODULES
from tests.support.import_graph import Tree, circle, crowded

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = {
    "agenttracer": ROOT / "sdk" / "agenttracer",
    "producer_gateway": ROOT / "producer_gateway",
    "stream_workers": ROOT / "stream_workers",
    "query_service": ROOT / "query_service",
    "servicekit": ROOT / "servicekit",
    "ddl": ROOT / "ddl",
    "agenttracer_cli": ROOT / "deploy" / "agenttracer_cli",
}
SERVICES: Final = ("producer_gateway", "stream_workers", "query_service", "servicekit")
MODULES_MOST: Final = 15
ENTRY_POINTS: Final = {"agenttracer_cli", "agenttracer.__main__", "agenttracer.pytest_plugin"}
"""Called from outside the tree: by a console script, by `python -m`, by pytest."""


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree(PACKAGES)


def written(folder: Path, **modules: str) -> Tree:
    """A tree of one package, `p`."""
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    return Tree({"p": folder})


def test_a_circle_is_found_also_by_a_type_import(tmp_path: Path) -> None:
    """Three modules in a ring, one of its imports for type checkers alone, and one module that only looks on."""
    found = written(
        tmp_path,
        a="from p.b import B",
        b="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p import c\nclass B: ...",
        c="def f():\n    import p.a",
        d="from p import a, b",
    )
    assert set(circle(found.imports())) == {"p.a", "p.b", "p.c"}


def test_a_tree_without_circles_has_none(tmp_path: Path) -> None:
    """A diamond is no circle."""
    found = written(tmp_path, a="from p import b, c", b="from p import d", c="from p import d", d="")
    assert circle(found.imports()) == []


def test_a_crowded_folder_is_found(tmp_path: Path) -> None:
    """`__init__` does not count."""
    written(tmp_path, __init__="", a="", b="")
    assert crowded([tmp_path], most=1) == {tmp_path: 2}
    assert crowded([tmp_path], most=2) == {}


def test_no_module_imports_itself_by_a_detour(tree: Tree) -> None:
    """Imports for type checkers count: they are read by people in the same way."""
    assert circle(tree.imports()) == []


def test_no_folder_is_crowded() -> None:
    """A reader takes in fifteen names at a glance."""
    assert crowded(PACKAGES.values(), most=MODULES_MOST) == {}


def test_a_public_class_name_means_one_thing(tree: Tree) -> None:
    """In all services and what they share."""
    counts = Counter(name for service in SERVICES for name in tree.classes(service))
    assert sorted(name for name, count in counts.items() if count > 1) == []


def test_the_pipeline_does_not_know_operations(tree: Tree) -> None:
    """Workers write; rebuilding, verifying and deleting use what workers use, never the other way round."""
    imports = tree.imports()
    pipeline = {name for name in imports if name.startswith("stream_workers.") and ".operations" not in name}
    assert not {name for name in pipeline if any(".operations" in imported for imported in imports[name])}


def test_no_module_is_a_function_with_one_caller(tree: Tree) -> None:
    """Such a function stands with its caller."""
    lonely = {name for name in tree.single_functions() if len(tree.importers(name)) <= 1}
    assert lonely - ENTRY_POINTS == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_former_module_is_gone(tree: Tree, module: str) -> None:
    """Its name was a private word, or it has moved into the folder of its stage."""
    assert module not in tree.files or tree.files[module].name == "__init__.py"  # a folder may have its name


@pytest.mark.parametrize(("package", "name"), [(package, name) for package, names in CLASSES.items() for name in names])
def test_a_former_name_is_gone(tree: Tree, package: str, name: str) -> None:
    """One word for one thing, and the field's."""
    assert name not in tree.defined(package)
