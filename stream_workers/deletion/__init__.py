"""Removes runs and projects for good, by request or because their time is over. Run by operators, not by workers."""

from stream_workers.deletion.removal import Removed, remove_project, remove_run
from stream_workers.deletion.retention import Applied, apply_retention, set_retention

__all__ = ["Applied", "Removed", "apply_retention", "remove_project", "remove_run", "set_retention"]
