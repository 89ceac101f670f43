"""What a rebuild is told, and how its statements name the two schemas. Plain data: it travels to the filling processes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ddl.migrate import SCHEMA
from servicekit import sql
from servicekit.kafka import KafkaSecurity
from stream_workers.batch import Topic

_QUERIES: Final = sql.load(Path(__file__).with_name("queries.sql"))

APPLICATION: Final = "agenttracer-rebuild"
"""What its sessions are called in Postgres."""
FROM_TOPIC: Final = ("runs", "steps", "failures", "declared_losses", "run_producers")
"""Tables whose rows are of one run each and come from the topic alone."""
NOT_FROM_TOPIC: Final = frozenset({"watched", "recheck_steps", "recheck_until"})
"""Columns in which the workers note what to look at again: they depend on how events came in batches, so nobody compares them."""
SUMS: Final = ("run_rollups", "step_rollups")
"""Tables that are added up from those."""
OWN: Final = ("ingest_ledger", "dead_letters", "schema_migrations")
"""Tables that every schema writes for itself."""
STATE: Final = "rebuild_state"
"""The rebuild's own memory; gone with the swap. All other tables belong to operators and are taken over as they are."""


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

    def query(self, name: str) -> str:
        """A statement of queries.sql with the schemas' names in place of `live.` and `shadow.`."""
        return _QUERIES[name].replace("live.", f'"{self.live}".').replace("shadow.", f'"{self.shadow}".')
