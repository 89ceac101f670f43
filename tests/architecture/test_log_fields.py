"""What our log lines may say is a closed list: read from every call of a log."""

import ast
from pathlib import Path

from servicekit.logs import NAMES

ROOT = Path(__file__).parents[2]
SERVICES = ("producer_gateway", "stream_workers", "query_service", "servicekit", "deploy/agenttracer_cli")
LEVELS = {"debug", "info", "warning", "error"}


def _fields(tree: ast.AST) -> set[str | None]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    ours = (call for call in calls if call.func.attr in LEVELS and "log" in ast.unparse(call.func.value).lower())
    return {keyword.arg for call in ours for keyword in call.keywords}


def test_every_field_is_listed_and_every_name_used() -> None:
    """A field by any other name is left out of the line, where nobody would miss it; a name that no call has invites one."""
    paths = [path for service in SERVICES for path in (ROOT / service).rglob("*.py")]
    assert set().union(*(_fields(ast.parse(path.read_text(encoding="utf-8"))) for path in paths)) == NAMES
