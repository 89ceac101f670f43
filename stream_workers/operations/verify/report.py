"""The result of verify: figures and examples, without any content, for people and for scripts."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from stream_workers.operations.verify.coverage import PartitionCoverage

EXAMPLES_MAX: Final = 50


@dataclass(slots=True)
class Report:
    """All differences are counted; a limited number is named."""

    topic: str
    topic_id: str
    coverage: Sequence[PartitionCoverage]
    records: int = 0
    runs_compared: int = 0
    rows_compared: int = 0
    runs_out_of_reach: int = 0
    """Runs that began before the log does: rows of the topic must be in the store, but what else the store has is not judged."""
    other_topics: int = 0
    """Topics of which the store holds rows, and which are not this one."""
    readable_again: int = 0
    """Dead letters that this release can read: candidates for `dlq retry`."""
    differences: int = 0
    examples: list[str] = field(default_factory=list)

    def differ(self, lines: Iterable[str]) -> None:
        """Count differences."""
        for line in lines:
            self.differences += 1
            if len(self.examples) < EXAMPLES_MAX:
                self.examples.append(line)

    @property
    def equal(self) -> bool:
        """Whether the store is what the topic says, as far as both reach."""
        return not self.differences and not any(one.wrong for one in self.coverage)

    @property
    def lag(self) -> int:
        """Records that the workers have not reached yet. Not a difference."""
        return sum(one.lag for one in self.coverage)

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {"equal": self.equal, "lag": self.lag, **asdict(self)}
