"""Who may import whom: read from the source, so that no detour hides it."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STANDARD = sys.stdlib_module_names | {"_typeshed"}  # the latter exists for type checkers alone
SERVICES = ("producer_gateway", "stream_workers", "query_service")
SHARED = ("agenttracer.wire", "agenttracer.rules")
"""Of the SDK's package, what services may import."""


def _imports(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                assert not node.level, f"{path}: relative import"
                yield path, node.module


def _top(module: str) -> str:
    return module.partition(".")[0]


def test_the_contract_imports_only_the_standard_library_and_itself() -> None:
    """So everything may import it, the SDK first of all."""
    for path, module in _imports(ROOT / "sdk" / "agenttracer" / "wire"):
        assert module.startswith("agenttracer.wire") or _top(module) in STANDARD, f"{path}: {module}"


def test_the_shared_rules_import_only_the_standard_library_and_the_contract() -> None:
    """They are pure, and cheap enough for an agent's process."""
    for path, module in _imports(ROOT / "sdk" / "agenttracer" / "rules"):
        assert module.startswith(SHARED) or _top(module) in STANDARD, f"{path}: {module}"


def test_the_sdk_imports_nothing_third_party() -> None:
    """Agents install it beside whatever they have; it must never conflict. Integrations import their framework lazily."""
    for path, module in _imports(ROOT / "sdk" / "agenttracer"):
        if "integrations" not in path.parts and path.name != "pytest_plugin.py":  # which nothing but pytest imports
            assert _top(module) == "agenttracer" or _top(module) in STANDARD, f"{path}: {module}"


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_imports_another_service_or_the_sdk(service: str) -> None:
    """Services meet at the topic and at the tables; of the SDK's package they know the contract and the shared rules alone."""
    others = {*SERVICES, "agenttracer_cli"} - {service}
    for path, module in _imports(ROOT / service):
        assert _top(module) not in others, f"{path}: {module}"
        assert _top(module) != "agenttracer" or module.startswith(SHARED), f"{path}: {module}"


def test_the_core_of_the_workers_is_pure() -> None:
    """No I/O, clock, logging or async: only the contract, shared rules, itself and the standard library without those."""
    forbidden = {"asyncio", "logging", "time", "datetime", "os", "socket", "threading", "random", "pathlib", "io"}
    for path, module in _imports(ROOT / "stream_workers" / "core"):
        allowed = module.startswith((*SHARED, "stream_workers.core")) or (
            _top(module) in sys.stdlib_module_names and _top(module) not in forbidden
        )
        assert allowed, f"{path}: {module}"


def test_rows_are_copied_in_one_place() -> None:
    """There alone is an encoder's error known for what it is: anywhere else it would end every worker, one after the other."""
    found = [path.name for path in (ROOT / "stream_workers").rglob("*.py") if ".copy_records_to_table" in path.read_text("utf-8")]
    assert found == ["copy.py"]


def test_the_service_kit_decides_nothing_for_a_service() -> None:
    """It serves all services, so it imports none of them, nor the store."""
    for path, module in _imports(ROOT / "servicekit"):
        assert _top(module) not in {*SERVICES, "ddl", "agenttracer_cli"}, f"{path}: {module}"


def test_the_folder_of_the_sdk_is_no_package() -> None:
    """With an `sdk/__init__.py` there would be two import paths, and two copies of every class."""
    assert not (ROOT / "sdk" / "__init__.py").exists()
