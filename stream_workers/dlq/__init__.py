"""Dead letters looked at and tried again, by operators. Nothing here shows or keeps what a record says."""

from stream_workers.dlq.letter import Letter, find_letters
from stream_workers.dlq.retry import Fate, retry

__all__ = ["Fate", "Letter", "find_letters", "retry"]
