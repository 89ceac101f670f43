"""Work on one body in turns with other requests, and its time on the processor: the dearest body of a project holds nobody up.

Work is a generator that yields where others may have a turn. They have one each time that a few milliseconds are over.
"""

import asyncio
from collections.abc import Generator
from time import thread_time
from typing import Final, TypeVar

from producer_gateway.limits.admission import Ticket

TURN_S: Final = 0.002
"""Of the processor: some fifty events of the slow way, some hundreds of the fast one."""
_Result = TypeVar("_Result")


async def in_turns(work: Generator[None, None, _Result], ticket: Ticket) -> _Result:
    """The result of the work. Its time is added to the ticket, also where it raises."""
    began = thread_time()
    try:
        while True:
            next(work)
            if (now := thread_time()) - began >= TURN_S:
                ticket.work_s += now - began
                began = now
                await asyncio.sleep(0)
                began = thread_time()  # what others did meanwhile is theirs
    except StopIteration as end:
        result: _Result = end.value
        return result
    finally:
        ticket.work_s += thread_time() - began
