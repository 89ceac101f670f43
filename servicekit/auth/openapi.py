"""API keys in OpenAPI documents: how they are sent, and which routes need one. They are checked in `authenticate`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

OPEN_ROUTES: Final = frozenset({"/health", "/ready", "/metrics"})
"""The only ones that need no key, besides the document itself."""
_SCHEMES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer atk_…`"},
        "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "`X-Api-Key: atk_…`; either, not both."},
    }
)


def declare_keys(document: dict[str, Any], *, anonymous: bool) -> None:
    """Say in `document` that every route but the open ones needs a key, sent one way or the other; or may do without one."""
    document.setdefault("components", {})["securitySchemes"] = dict(_SCHEMES)
    ways: list[dict[str, list[str]]] = [{name: []} for name in _SCHEMES]
    for path, operations in document["paths"].items():
        if path not in OPEN_ROUTES:
            for operation in operations.values():
                operation["security"] = [*ways, {}] if anonymous else ways
