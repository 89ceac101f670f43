"""The rule of metadata: which entries may travel. Pure, and cheap to import: the SDK checks it on the agent's thread."""

import math
from collections.abc import Mapping
from typing import Final

from agenttracer.wire import form

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
MAX_KEYS: Final = 32

MetadataValue = bool | int | float | str
"""bool, int64, finite float, or a label (the form of a name)."""
Metadata = Mapping[str, MetadataValue]


def metadata_rule(key: str, value: object) -> str | None:
    """The rule that a metadata entry breaks, or None."""
    if not isinstance(key, str) or len(key) > form.NAME_MAX_CHARS or not form.is_metadata_key(key):
        return "metadata_key"
    if isinstance(value, str):
        return _label_rule(key, value)
    return None if _is_number(value) else "metadata_value"


def _label_rule(key: str, value: str) -> str | None:
    if len(value) > form.NAME_MAX_CHARS or not form.is_name(value):
        return "metadata_value"
    return "content_key" if form.names_content(key) else None


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return INT64_MIN <= value <= INT64_MAX
    return isinstance(value, float) and math.isfinite(value)
