"""The order in which tests that run side by side begin: the longest modules first, spread over the processes.

pytest-xdist gives each process an equal stretch of the collection, and processes that are done take from the end of what others
still have. So each stretch begins with long modules and ends with short ones: no process is left with a long test at the end.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import pytest

MINUTES: Final = {
    "tests/acceptance/test_rebuild.py": 13,
    "tests/contract/openapi/test_documents.py": 7,
    "tests/chaos/test_planted_bugs.py": 6,
    "tests/chaos/test_soak.py": 5,
    "tests/acceptance/test_workers_lose_nothing.py": 5,
    "tests/integration/store/test_fold_properties.py": 5,
    "tests/integration/test_ports.py": 4,
    "tests/architecture/test_make_targets.py": 3,
    "tests/acceptance/test_verify.py": 3,
    "tests/acceptance/test_short_log.py": 2,
    "tests/integration/test_secure_kafka.py": 2,
    "tests/integration/test_keys.py": 2,
    "tests/integration/store/test_retention.py": 2,
    "tests/integration/store/test_long_runs.py": 2,
    "tests/benchmarks/test_measuring.py": 2,
    "tests/acceptance/test_hot_run.py": 1,
    "tests/acceptance/test_restore.py": 1,
    "tests/chaos/test_rolling.py": 1,
    "tests/acceptance/test_upgrade.py": 1,
    "tests/acceptance/test_fences.py": 1,
    "tests/integration/store/test_deletion.py": 1,
    "tests/integration/gateway/test_gateway_process.py": 1,
    "tests/acceptance/test_canaries_at_rest.py": 1,
}
"""What the modules took with four processes on two busy cores, so only their relation counts."""


def longest_first(items: Sequence[pytest.Item], processes: int) -> list[pytest.Item]:
    """All items, so that each of `processes` equal stretches begins with its share of the long modules."""
    share = _shares(processes)
    stretches: list[list[pytest.Item]] = [[] for _ in range(processes)]
    short = []
    for item in sorted(items, key=lambda one: -MINUTES.get(_module(one), 0)):
        at = share.get(_module(item))
        (short if at is None else stretches[at]).append(item)
    for at, stretch in enumerate(stretches):
        left = (len(items) - sum(map(len, stretches[:at]))) // (processes - at)  # as pytest-xdist divides
        while len(stretch) < left and short:
            stretch.append(short.pop(0))
    return [item for stretch in [*stretches, short] for item in stretch]


def _shares(processes: int) -> dict[str, int]:
    load = Counter(dict.fromkeys(range(processes), 0))
    share = {}
    for module, minutes in MINUTES.items():
        share[module] = min(load, key=lambda at: load[at])
        load[share[module]] += minutes
    return share


def _module(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
