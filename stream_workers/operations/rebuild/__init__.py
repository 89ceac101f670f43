"""Builds the store again from the topic, beside the live one, and swaps the two. Run by the command, not by workers."""

from stream_workers.operations.rebuild.diff import Diff
from stream_workers.operations.rebuild.plan import Plan
from stream_workers.operations.rebuild.rebuild import RebuildResult, rebuild
from stream_workers.operations.rebuild.shadow_schema import drop_old

__all__ = ["Diff", "Plan", "RebuildResult", "drop_old", "rebuild"]
