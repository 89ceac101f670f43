"""The W3C header `traceparent`, which links a run to the run that caused it in another process. Pure.

Version 00 is written; later versions are read as the recommendation says. The trace id is the run's id. The parent id is the
calling step's; outside any step it is the last half of the run's id, and a reader takes that for the run itself.
"""

import re
from typing import Final, NamedTuple

_HEADER: Final = r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?"
_HEADER_MAX_CHARS: Final = 512
_SAMPLED: Final = 0x01


class Origin(NamedTuple):
    """The run that made the call: its id, the calling step's 64 bits (0: none), and whether the run is sampled."""

    run_id: str
    bits: int
    sampled: bool


def formatted(origin: Origin) -> str:
    """The header for calls made from `origin`."""
    trace = origin.run_id.replace("-", "")
    parent = f"{origin.bits:016x}" if origin.bits else trace[16:]
    return f"00-{trace}-{parent}-{_SAMPLED if origin.sampled else 0:02x}"


def parsed(header: object) -> Origin | None:
    """The origin that `header` names; None when the header is malformed."""
    found = re.fullmatch(_HEADER, header.strip()) if isinstance(header, str) and len(header) <= _HEADER_MAX_CHARS else None
    if found is None:
        return None
    version, trace, parent, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None) or not int(trace, 16) or not int(parent, 16):
        return None
    run_id = f"{trace[:8]}-{trace[8:12]}-{trace[12:16]}-{trace[16:20]}-{trace[20:]}"
    return Origin(run_id, 0 if parent == trace[16:] else int(parent, 16), bool(int(flags, 16) & _SAMPLED))
