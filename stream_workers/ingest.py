"""The worker's pipeline: chunks in, batches out, and a chunk finished only after the COMMIT that holds it.

    Faust's agent ──put──▶ waiting chunks ──gather──▶ one batch ──▶ writer ──▶ done(chunk)

One batch is written while the next is read, decoded and assembled, in slices between which the writer gets its turn. A
record that comes after a pause is written at once; in a stream, transactions keep a distance and a batch grows while the writer
is busy. No exception leaves this module quietly: what is unexpected ends the process without anything being committed, and the
next owner reads it again.
"""

import asyncio
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from math import inf
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from faust.types.tuples import TP

from servicekit.logs import Log
from stream_workers.batch import Batch, Received, batch_of
from stream_workers.core.assemble import Assembly
from stream_workers.decode import Reader, canonical_json
from stream_workers.ending import EXIT_POISON, end_process
from stream_workers.errors import FencedError, HoleError, PoisonBrakeError
from stream_workers.metrics import Metrics
from stream_workers.write import Writer

_SLICE: Final = 50
_T = TypeVar("_T")
_log = Log("worker.ingest")


class Delivery(Protocol):
    """What the pipeline asks of the consumer (`delivery.ChunkConsumer`)."""

    def done(self, message: Any) -> None:  # noqa: ANN401 - Faust's message
        """The chunk is stored."""

    def drop(self, message: Any) -> None:  # noqa: ANN401 - Faust's message
        """The chunk is not stored, and will be read again."""

    async def rewind(self, tp: TP, offset: int) -> None:
        """Read the partition anew from `offset`."""


class Held(NamedTuple):
    """A chunk with its records read."""

    message: Any
    received: list[Received]


class Ready(NamedTuple):
    """Chunks and the batch that they amount to."""

    held: list[Held]
    batch: Batch


class Ingest:
    """Owns what is between Faust and the store. `run` until cancelled."""

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        holes: "Holes",
        metrics: Metrics,
        *,
        batch_max_rows: int,
        batch_max_wait_s: float,
        buffer_max_chunks: int,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._holes = holes
        self._metrics = metrics
        self._max_rows = batch_max_rows
        self._max_wait_s = batch_max_wait_s
        self._waiting: asyncio.Queue[Held] = asyncio.Queue(maxsize=buffer_max_chunks)
        self._ready: asyncio.Queue[Ready] = asyncio.Queue(maxsize=1)
        self._news = asyncio.Event()  # a chunk came, or the writer has nothing left to write
        self._idle = True
        self.delivery: Delivery | None = None

    async def put(self, message: Any) -> None:  # noqa: ANN401 - Faust's message
        """Take a chunk. Waits while the buffer is full, and Faust stops fetching meanwhile."""
        partition, _, _, records = message.value
        received: list[Received] = []
        for some in _slices(records):
            received += self._read(partition, some)
            await asyncio.sleep(0)
        self._metrics.records.inc(len(received))
        self._metrics.events.inc(sum(len(item.record.events) for item in received if item.record is not None))
        await self._waiting.put(Held(message, received))
        self._news.set()

    def _read(self, partition: int, records: list[Any]) -> list[Received]:
        before = self._reader.unknown_members
        with self._metrics.cpu("decode"):
            received = self._reader.read(partition, records)
        self._metrics.unknown_members.inc(self._reader.unknown_members - before)
        return received

    async def run(self) -> None:
        """Gather and write until cancelled. Never returns otherwise: an unexpected error ends the process."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._gather())
                tasks.create_task(self._write())
        except* PoisonBrakeError as group:
            brake = group.exceptions[0]
            assert isinstance(brake, PoisonBrakeError)
            _log.error("poison_brake", dead=brake.dead, of=brake.of)
            os._exit(EXIT_POISON)
        except* Exception as group:  # noqa: BLE001 - whatever it is, nothing of it may be committed
            end_process(group.exceptions[0])

    async def _gather(self) -> None:
        now, handed_on_s = asyncio.get_running_loop().time, -inf
        while True:
            held = [await self._waiting.get()]
            assembly = Assembly(canonical_json)
            rows = await self._assemble(assembly, held[0])
            while rows < self._max_rows and (one := await self._company(handed_on_s + self._max_wait_s)):
                held.append(one)
                rows += await self._assemble(assembly, one)
            with self._metrics.cpu("assemble"):
                batch = batch_of(_received(held), assembly.rows())
            self._idle = False
            await self._ready.put(Ready(held, batch))
            handed_on_s = now()

    async def _company(self, until_s: float) -> Held | None:
        """One more chunk for the batch; None when the batch should be written without.

        That is not before `until_s`, which spaces transactions, and not before the writer has time for it: till then it grows.
        """
        while self._waiting.empty():
            left_s = until_s - asyncio.get_running_loop().time()
            if left_s <= 0 and self._idle:
                return None
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s if left_s > 0 else None):
                    await self._news.wait()
        return self._waiting.get_nowait()

    async def _assemble(self, assembly: Assembly, held: Held) -> int:
        """Add a chunk's records; answers how many rows they are about. One that cannot be read will be a row as well."""
        for some in _slices(held.received):
            with self._metrics.cpu("assemble"):
                for item in some:
                    if item.record is not None:
                        assembly.add(item.record)
            await asyncio.sleep(0)
        return sum(1 if item.record is None else len(item.record.events) for item in held.received)

    async def _write(self) -> None:
        while True:
            held, batch = await self._ready.get()
            known: Batch | None = batch
            while held:
                try:
                    await self._writer.write(_received(held), batch=known)
                except FencedError as error:
                    # Their new owner reads them. Nothing later of these partitions can pass: the watermark stays before them.
                    held, known = self._give_up(held, error.partitions), None
                except HoleError as error:
                    held, known = await self._read_anew(held, error), None
                else:
                    self._finish(held)
                    break
            self._idle = self._ready.empty()
            self._news.set()

    def _finish(self, held: Sequence[Held]) -> None:
        assert self.delivery is not None
        for one in held:
            self.delivery.done(one.message)

    def _give_up(self, held: Sequence[Held], partitions: Collection[int]) -> list[Held]:
        """Drop the chunks of these partitions; answers what is left."""
        assert self.delivery is not None
        kept = []
        for one in held:
            if one.message.tp.partition in partitions:
                self.delivery.drop(one.message)
            else:
                kept.append(one)
        return kept

    async def _read_anew(self, held: list[Held], error: HoleError) -> list[Held]:
        """Give up the chunks of partitions with a hole, read those anew; what is left can be written."""
        assert self.delivery is not None
        kept = self._give_up(held, error.frontiers)
        for tp in {one.message.tp for one in held if one.message.tp.partition in error.frontiers}:
            self._metrics.rewinds.inc()
            found = min(one.message.value.start for one in held if one.message.tp == tp)
            await self.delivery.rewind(tp, await self._holes.resume_at(tp, error.frontiers[tp.partition], found))
        return kept


class Holes(Protocol):
    """Who knows where reading can go on when offsets are missing."""

    async def resume_at(self, tp: TP, frontier: int, found: int) -> int:
        """The offset to read from, when `found` came where `frontier` was due. Losses are recorded before they are passed."""
        ...


def _received(held: Sequence[Held]) -> list[Received]:
    return [item for one in held for item in one.received]


def _slices(items: list[_T]) -> Iterator[list[_T]]:
    """Pieces so small that the transaction under way gets its turn every few milliseconds."""
    for start in range(0, len(items), _SLICE):
        yield items[start : start + _SLICE]
