"""When a worker is stuck: records wait, none is stored, and the store answered all the while. Only judges; `watch` acts on it.

Silence alone is not stuck, and a store that is away is waited for: the time begins anew when it answers again, since the writer
pauses between two tries and needs the chance to find out. So is one that is slow, as long as the writer gets its answers.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from stream_workers.errors import TransientStoreError

_QUESTIONS: Final = 6
"""How often the store is asked in the time after which a worker counts as stuck. An outage between two questions is not seen, so
that the writer's longest pause (`retry_max_s`, 30 s) must fit into what is left."""


class StuckDetector:
    """Fed with where each partition stands. `answers` returns if the store does, and raises TransientStoreError if not.

    `progress` is the writer's (`Writer.progress`): a batch that is written in pieces moves no partition for long.
    """

    def __init__(
        self,
        answers: Callable[[], Awaitable[object]],
        *,
        after_s: float,
        progress: Callable[[], int] = lambda: 0,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._answers = answers
        self._progress = progress
        self._after_s = after_s
        self._clock_s = clock_s
        self._reached: tuple[Mapping[int, int | None], int] = ({}, 0)
        self._since_s = self._asked_s = clock_s()
        self._answered = False

    async def is_stuck(self, positions: Mapping[int, int | None], *, lag: int) -> bool:
        """Whether nothing moved for `after_s` although `lag` records wait and the store answers. Call it every second or so."""
        now_s = self._clock_s()
        reached = (positions, self._progress())
        if reached != self._reached or not lag:
            self._reached = reached
            self._begin(now_s)
        elif self._answered and now_s - self._since_s >= self._after_s:
            return True
        elif now_s - self._asked_s >= self._after_s / _QUESTIONS:
            await self._ask()
        return False

    async def _ask(self) -> None:
        try:
            await self._answers()
        except TransientStoreError:
            self._begin(self._clock_s())
        else:
            self._asked_s, self._answered = self._clock_s(), True

    def _begin(self, now_s: float) -> None:
        self._since_s = self._asked_s = now_s
        self._answered = False
