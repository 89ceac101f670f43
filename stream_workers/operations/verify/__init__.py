"""Proves that the store is what the topic says: ledger against log, rows against the fold. Reads only."""

from stream_workers.operations.verify.report import Report
from stream_workers.operations.verify.scope import RunSelection
from stream_workers.operations.verify.verify import verify

__all__ = ["Report", "RunSelection", "verify"]
