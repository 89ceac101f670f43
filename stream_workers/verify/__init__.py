"""Proves that the store is what the topic says: ledger against log, rows against the fold. Reads only."""

from stream_workers.verify.report import Report
from stream_workers.verify.scope import Scope
from stream_workers.verify.verify import verify

__all__ = ["Report", "Scope", "verify"]
