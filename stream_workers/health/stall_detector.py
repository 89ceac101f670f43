"""When a worker is stuck: records wait, none is stored, and the store answered all the while. `Monitor` acts on the result.

Silence alone is not stuck. A store that is away is waited for: the time starts again when it answers again, since the writer
pauses between two tries and needs time to notice. A slow store is waited for as long as the writer's transactions end.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from stream_workers.errors import TransientStoreError

_QUESTIONS: Final = 6
"""How often the store is asked in the time after which a worker counts as stuck. An outage between two questions is not seen, so
that the writer's longest pause (`retry_max_s`, 30 s) must fit into what is left."""


class StallDetector:
    """Gets each partition's position. `ask` returns if the store answers, and raises TransientStoreError if it does not.

    `progress` is the writer's (`Writer.progress`): a batch that is written in parts moves no partition for long.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[object]],
        *,
        after_s: float,
        progress: Callable[[], int] = lambda: 0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask_store = ask
        self._progress = progress
        self._after_s = after_s
        self._clock_s = clock_s
        self._reached: tuple[Mapping[int, int | None], int] = ({}, 0)
        self._since_s = self._asked_s = clock_s()
        self._answered = False

    async def is_stalled(self, positions: Mapping[int, int | None], *, lag: int) -> bool:
        """Whether nothing moved for `after_s` although `lag` records wait and the store answers. Call it every second or so."""
        now_s = self._clock_s()
        reached = (positions, self._progress())
        if reached != self._reached or not lag:
            self._reached = reached
            self._restart(now_s)
        elif self._answered and now_s - self._since_s >= self._after_s:
            return True
        elif now_s - self._asked_s >= self._after_s / _QUESTIONS:
            await self._ask()
        return False

    async def _ask(self) -> None:
        try:
            await self._ask_store()
        except TransientStoreError:
            self._restart(self._clock_s())
        else:
            self._asked_s, self._answered = self._clock_s(), True

    def _restart(self, now_s: float) -> None:
        self._since_s = self._asked_s = now_s
        self._answered = False
