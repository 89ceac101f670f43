"""A limit on work with a connection that holds whatever the server or the network does.

Cancelled work is waited for, and asyncpg's ends politely: it asks the server to cancel, and rolls back, both without a limit. So
the connection is broken off first, which nobody has to answer; only then is the work told to end.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

_ENDS_WITHIN_S: Final = 1.0  # without its connection it has nothing to wait for
_T = TypeVar("_T")


async def within(limit_s: float, work: Coroutine[Any, Any, _T], *, break_off: Callable[[], None]) -> _T:
    """What `work` answers. Raises TimeoutError after `limit_s`, and a moment later at most; `break_off` ends its connection then.

    The same when the caller is cancelled.
    """
    task = asyncio.create_task(work)
    task.add_done_callback(_heard)
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


def _heard(task: asyncio.Task[Any]) -> None:
    """Whoever was told to end asks no more for what the work had to say; the loop need not complain of that."""
    if not task.cancelled():
        task.exception()
