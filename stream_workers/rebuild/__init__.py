"""Builds the store anew from the topic, beside the live one, and swaps the two. Run by the operators' command, not by workers."""

from stream_workers.rebuild.diff import Diff
from stream_workers.rebuild.plan import Plan
from stream_workers.rebuild.rebuild import Outcome, rebuild
from stream_workers.rebuild.shadow import drop_old

__all__ = ["Diff", "Outcome", "Plan", "drop_old", "rebuild"]
