"""Imports that wait until they are needed, kept apart from forks.

A fork in the middle of another thread's import would leave the child a module that is locked for ever.
"""

import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging

    from agenttracer._transport import Transport

LOADING: Final = threading.RLock()
"""Held during such an import. A fork waits for it, some ten milliseconds, once in the life of a process."""


def transport() -> "type[Transport]":
    """HTTP and TLS, with the codec of host names, which the resolver would load at a moment of its own."""
    with LOADING:
        import encodings.idna  # noqa: F401, PLC0415

        from agenttracer._transport import Transport  # noqa: PLC0415 - loaded when first needed
    return Transport


def logger() -> "logging.Logger":
    """The logger `agenttracer`. Most processes never warn, and importing logging costs milliseconds."""
    with LOADING:
        import logging  # noqa: PLC0415 - loaded when first needed
    return logging.getLogger("agenttracer")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=LOADING.acquire, after_in_parent=LOADING.release, after_in_child=LOADING.release)
