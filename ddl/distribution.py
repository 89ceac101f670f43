"""Where the rows of each table would live on a cluster of several PostgreSQL servers (Citus): every table is in one class here.

One server needs none of this. It is kept true from the beginning, because a store is moved to a cluster when it is large, and
statements that cannot run there would be found too late. tests/architecture/citus_rules.py reads every statement by it.
"""

from typing import Final

DISTRIBUTED: Final = frozenset(
    {
        "runs",
        "steps",
        "steps_default",
        "failures",
        "declared_losses",
        "run_producers",
        "run_rollups",
        "step_rollups",
        "run_rollup_deltas",
        "run_rollup_totals",
        "step_rollup_deltas",
        "step_rollup_totals",
    }
)
"""Spread over the servers by `project`: all rows of a project are on one of them. The run tables."""
REFERENCE: Final = frozenset({"deletions", "retention", "detail_horizons"})
"""A copy on every server: small, seldom written, and joined with the run tables."""
LOCAL: Final = frozenset(
    {
        *("ingest_ledger", "stored_partitions", "dead_letters", "api_keys", "audit_log", "name_modes", "allowed_names"),
        *("schema_migrations", "rebuild_state"),
    }
)
"""On the one server that clients connect to: no statement joins them with a run table."""
VIEWS: Final = frozenset({"runs_now"})
"""Each reads one run table."""
TEMPORARY: Final = frozenset(
    {"stage_steps", "stage_failures", "stage_runs", "stage_producers", "stage_counts", "stage_shifts", "gone_runs", "old_runs"}
)
"""Of one session, on the server that it is connected to."""
