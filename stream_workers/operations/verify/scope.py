"""Which runs are compared: all, a share that is the same every time, or one. Pure."""

import hashlib
from dataclasses import dataclass
from typing import Final

_WHOLE: Final = 1 << 64


def run_hash(project: str, run_id: str) -> int:
    """64 bits of a run's name, the same in every process. Samples and slices are chosen by it."""
    return int.from_bytes(hashlib.blake2b(f"{project}:{run_id}".encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True)
class RunSelection:
    """`sample` is a share of the runs, chosen by their names; `run_id` is one run of whatever project."""

    sample: float = 1.0
    run_id: str | None = None

    def has(self, run_id: str, hashed: int) -> bool:
        """Whether the run with this `run_hash` is compared."""
        return run_id == self.run_id if self.run_id is not None else hashed < self.sample * _WHOLE
