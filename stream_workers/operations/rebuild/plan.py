"""The parameters of a rebuild, and how its statements name the two schemas. Plain data: it is sent to the filling processes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ddl.migrate import SCHEMA
from servicekit import sql
from servicekit.kafka import KafkaSecurity
from stream_workers.store.batch import Topic

_QUERIES: Final = {
    **sql.load(Path(__file__).with_name("queries.sql")),
    **sql.load(Path(__file__).with_name("statistics.sql")),
}

APPLICATION: Final = "agenttracer-rebuild"
"""The name of its sessions in PostgreSQL."""
TABLES_FROM_TOPIC: Final = ("runs", "steps", "failures", "declared_losses", "run_producers")
"""Tables whose rows are of one run each and come from the topic alone."""
COLUMNS_NOT_COMPARED: Final = frozenset({"watched", "recheck_steps", "recheck_until"})
"""Columns with the triggers of a rediagnosis: they depend on how events came in batches, so they are not compared."""
ROLLUP_TABLES: Final = (
    "run_rollup_deltas",
    "step_rollup_deltas",
    "run_rollup_totals",
    "step_rollup_totals",
    "run_rollups",
    "step_rollups",
)
"""Tables that are added up from those."""
OWN_TABLES: Final = ("ingest_ledger", "dead_letters", "schema_migrations")
"""Tables that every schema writes for itself."""
STATE_TABLE: Final = "rebuild_state"
"""The rebuild's own state; dropped at the swap. All other tables are written by operators and are copied as they are."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One rebuild. `dsn` is the schema owner's."""

    dsn: str
    bootstrap: str
    topic: Topic
    processes: int = 1
    max_events_per_s: float | None = None
    security: KafkaSecurity = field(default_factory=KafkaSecurity)
    live: str = SCHEMA

    @property
    def shadow(self) -> str:
        """The schema that is built."""
        return f"{self.live}_shadow"

    @property
    def old(self) -> str:
        """The schema that was live before the swap."""
        return f"{self.live}_old"

    def statement(self, name: str) -> sql.Statement:
        """A statement of queries.sql or statistics.sql with the schemas' names in place of `live.` and `shadow.`."""
        found = _QUERIES[name]
        return found.with_text(found.text.replace("live.", f'"{self.live}".').replace("shadow.", f'"{self.shadow}".'))
