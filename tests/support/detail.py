"""The store's tables without its statistics, which keep what has expired."""

from dataclasses import replace

from stream_workers.core.fold import Tables


def detail_of(tables: Tables) -> Tables:
    """Runs and all that belongs to single runs."""
    return replace(tables, run_rollups={}, step_rollups={})
