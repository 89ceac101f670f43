"""Dead letters, listed and tried again by operators. Nothing here shows or keeps the content of a record."""

from stream_workers.operations.dead_letters.letter import Letter, find_letters
from stream_workers.operations.dead_letters.retry import RetryResult, retry

__all__ = ["Letter", "RetryResult", "find_letters", "retry"]
