"""A limit on work with a connection that holds whatever the server or the network does.

Cancelled work is waited for, and asyncpg cancels politely: it asks the server to cancel and rolls back, both without a limit. So
the connection is terminated first, which needs no answer; only then is the work cancelled.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

_ENDS_WITHIN_S: Final = 1.0  # without its connection it has nothing to wait for
_T = TypeVar("_T")


async def within(limit_s: float, work: Coroutine[Any, Any, _T], *, break_off: Callable[[], None]) -> _T:
    """The result of `work`. Raises TimeoutError after `limit_s` or a moment later; `break_off` ends its connection then.

    A cancelled caller breaks off in the same way.
    """
    task = asyncio.create_task(work)
    task.add_done_callback(_retrieve)
    try:
        await asyncio.wait({task}, timeout=limit_s)
    finally:
        in_time = task.done()
        if not in_time:
            break_off()
            task.cancel()
            await asyncio.wait({task}, timeout=_ENDS_WITHIN_S)
    if not in_time:
        raise TimeoutError
    return task.result()


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Nothing asks for the result of cancelled work; without this the event loop would report its error as never retrieved."""
    if not task.cancelled():
        task.exception()
