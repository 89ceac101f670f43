"""Deletes runs and projects for good, by request or because their retention is over. Run by operators, not by workers."""

from stream_workers.operations.deletion.removal import DeletionResult, remove_project, remove_run
from stream_workers.operations.deletion.retention import RetentionResult, apply_retention, set_retention

__all__ = ["DeletionResult", "RetentionResult", "apply_retention", "remove_project", "remove_run", "set_retention"]
