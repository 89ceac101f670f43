"""Batches the records of one partition: those of all requests gather, and whole batches go to the Kafka client.

The client's own `send` makes a coroutine, a future and a hash in Python for every record, which costs more than all else that
it does. Here a record costs one call into the client's compiled batch builder, and requests wait for batches. Batches leave
one at a time, as they do in the client, each closed before the client has it: so order is kept, and the busier Kafka is the
larger they grow. Only the client's public parts are used; deadlines are the caller's.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from producer_gateway.kafka.record_log import Message

BatchAck = asyncio.Future[None]
"""Done when the batch is acknowledged; its exception says why it is not."""
_Batch = tuple[Any, BatchAck]


class Linger:
    """How long records wait for others, for all partitions alike: batches that depart together share a request to the broker."""

    def __init__(self, linger_s: float) -> None:
        self._linger_s = linger_s
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Callable[[], None]] = []

    def wait_for(self, depart: Callable[[], None]) -> None:
        """Call `depart` at the end of the linger time, which the first call begins."""
        if not self._waiting:
            self._loop.call_later(self._linger_s, self._end)
        self._waiting.append(depart)

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, []
        for depart in waiting:
            depart()


class PartitionBatcher:
    """Holds at most one batch that fills and one on its way. While that is not acknowledged, the next one fills."""

    def __init__(
        self,
        producer: Any,  # noqa: ANN401 - aiokafka is untyped
        *,
        topic: str,
        partition: int,
        linger: "Linger",
        watch: Callable[[BatchAck], None],
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = partition
        self._linger = linger
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._filling: _Batch | None = None
        self._due = False
        self._leaving: asyncio.Task[None] | None = None

    def put(self, message: Message) -> BatchAck | None:
        """The acknowledgement of the batch that took the message; None when there is no room until `room` returns."""
        builder, outcome = self._filling or self._open()
        if builder.append(timestamp=None, key=message.key, value=message.value) is not None:
            return outcome
        self._due = True
        self._leave()
        return None if self._filling is not None else self.put(message)

    async def room(self, *, deadline: float | None = None) -> None:
        """Wait until the batch that is on its way has arrived, or failed to. Raises TimeoutError at `deadline` (loop's time)."""
        if self._leaving is not None:
            await settle([self._leaving], timeout_s=None if deadline is None else deadline - self._loop.time())

    async def empty(self) -> None:
        """Send what has gathered without lingering, and return when all has arrived."""
        while self._filling is not None or self._leaving is not None:
            self.depart()
            await self.room()

    def close(self) -> None:
        """Give up what has not left, and wait no longer for what has."""
        batch, self._filling = self._filling, None
        if batch is not None:
            _conclude(batch[1], asyncio.CancelledError())
        if self._leaving is not None:
            self._leaving.cancel()

    def _open(self) -> _Batch:
        batch: _Batch = (self._producer.create_batch(), self._loop.create_future())
        self._watch(batch[1])
        self._filling, self._due = batch, False
        self._linger.wait_for(self.depart)
        return batch

    def depart(self) -> None:
        """Send what has gathered as soon as nothing else is on its way."""
        if self._filling is not None:
            self._due = True
            self._leave()

    def _leave(self) -> None:
        """Send what has gathered, unless another batch is on its way."""
        if self._leaving is None and self._filling is not None:
            (builder, outcome), self._filling = self._filling, None
            builder.close()
            self._leaving = self._loop.create_task(self._send(builder, outcome))

    async def _send(self, builder: Any, outcome: BatchAck) -> None:  # noqa: ANN401 - aiokafka is untyped
        try:
            await (await self._producer.send_batch(builder, self._topic, partition=self._partition))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever it is, the waiting requests must get it
            _conclude(outcome, error)
        else:
            _conclude(outcome, None)
        self._leaving = None
        if self._due:
            self._leave()


async def settle(waited_for: Collection[asyncio.Future[None]], *, timeout_s: float | None) -> None:
    """Wait until all are done, however. Raises TimeoutError; `asyncio.timeout` around the wait would cost more than the wait."""
    _, pending = await asyncio.wait(waited_for, timeout=timeout_s)
    if pending:
        raise TimeoutError


def _conclude(outcome: BatchAck, error: BaseException | None) -> None:
    if outcome.done():
        return
    if error is None:
        outcome.set_result(None)
    else:
        outcome.set_exception(error)
        outcome.exception()  # retrieved, even when no request waits any more
