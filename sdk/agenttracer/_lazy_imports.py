"""Imports that wait until they are needed, kept apart from forks.

If a process forks while another thread imports a module, that module stays locked in the child for ever.
"""

import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging

IMPORT_LOCK: Final = threading.RLock()
"""Held during a late import. A fork waits for it: some ten milliseconds, once in the life of a process."""


def logger() -> "logging.Logger":
    """The logger `agenttracer`. Most processes never log a warning, and importing logging costs milliseconds."""
    with IMPORT_LOCK:
        import logging  # noqa: PLC0415 - loaded when first needed
    return logging.getLogger("agenttracer")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=IMPORT_LOCK.acquire, after_in_parent=IMPORT_LOCK.release, after_in_child=IMPORT_LOCK.release)
