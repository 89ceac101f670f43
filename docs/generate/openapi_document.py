"""Writes the query service's OpenAPI document to `query_service/ui/openapi.json`, from which the pages' types are made.

Neither is committed: both follow from the code. `make ui-check` runs this first.
"""

import json
from pathlib import Path
from typing import Any, Final

from query_service.app import create_app
from query_service.settings import QuerySettings
from query_service.testing import FakeStore
from servicekit.testing import MemoryKeys, cache_of

DOCUMENT: Final = Path(__file__).parents[2] / "query_service" / "ui" / "openapi.json"


def document() -> dict[str, Any]:
    """As a service without anonymous callers serves it."""
    found: dict[str, Any] = create_app(QuerySettings(), FakeStore(), keys=cache_of(MemoryKeys())).openapi()
    return found


if __name__ == "__main__":
    DOCUMENT.write_text(json.dumps(document()), encoding="utf-8")
