"""The system's limit on open files, which is one on connections: shells often start processes with room for 1,024."""

import resource
from typing import Final

_OWN_USE: Final = 256
"""Files that are no client's connection: Kafka's brokers, twice while a producer is replaced, libraries, certificates."""


def make_room(connections: int) -> int:
    """Raise the limit as far as this process may. Answers for how many connections there is room, at most `connections`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OWN_USE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    return max(1, granted - _OWN_USE)
