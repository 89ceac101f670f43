"""The statements of docs/operations.md for analysts, run as printed by the role that they are for."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from query_service.testing_rows import FailureSeed, RunSeed, StepSeed
from tests.integration.query.conftest import Putting
from tests.unit.docs.pages import ROOT

pytestmark = pytest.mark.anyio
_SECTION = re.compile(r"^## SQL for analysts$(.*?)^## ", re.DOTALL | re.MULTILINE)


def statements() -> list[str]:
    """Those of the section's blocks."""
    found = _SECTION.search((Path(ROOT) / "docs" / "operations.md").read_text(encoding="utf-8"))
    assert found is not None
    lines = [line.strip() for line in found[1].splitlines() if line.startswith("    ")]
    return [one.strip() for one in " ".join(lines).split(";") if one.strip()]


async def test_statements_for_analysts_run_as_printed(migrated_dsn: dict[str, str], put: Putting) -> None:
    """They show the project that the session names; another project's rows are not there, and nothing can be written."""
    now = datetime.now(UTC)
    for project in ("default", "other"):
        own: dict[str, Any] = {"project": project, "agent": f"{project}-bot"}
        await put(
            RunSeed(**own, declared_started_at=now, first_event_at=now, last_event_at=now),
            StepSeed(**own, started_at=now),
            FailureSeed(**own, occurred_at=now),
        )
    connection = await asyncpg.connect(migrated_dsn["query"])
    try:
        settings, selects = statements()[:2], statements()[2:]
        for setting in settings:
            await connection.execute(setting)
        assert len(selects) == 3
        for select in selects:
            [row] = await connection.fetch(select)
            assert 1 in row.values()
        assert await connection.fetchval("SELECT count(*) FROM runs_now WHERE project <> 'default'") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM runs")
    finally:
        await connection.close()
