"""Run ids for runs that came without one: UUID version 7 (RFC 9562), so that indexes stay append-mostly."""

import secrets
from uuid import UUID


def new_run_id(now_us: int) -> str:
    """A UUIDv7 of the given time (us): 48 bits of milliseconds, then 74 random ones."""
    value = (now_us // 1_000) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(UUID(int=value))
