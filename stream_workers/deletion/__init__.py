"""Removes runs and projects for good, by request or because their time is over. Run by operators, not by workers."""

from stream_workers.deletion.removal import remove_project, remove_run
from stream_workers.deletion.retention import apply_retention, set_retention

__all__ = ["apply_retention", "remove_project", "remove_run", "set_retention"]
