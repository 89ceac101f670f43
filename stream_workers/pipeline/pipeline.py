"""The worker's pipeline: chunks in, batches out, and a chunk finished only after the COMMIT that holds it.

    Faust's agent ──put──▶ waiting chunks ──gather──▶ one batch ──▶ writer ──▶ done(chunk)

One batch is written while the next one is read, decoded and assembled, in slices between which the writer gets its turn. A
record that comes after a pause is written at once; in a stream, transactions keep a distance, and a batch grows while the writer
is busy. No exception is swallowed here: an unexpected one ends the process, nothing is committed, and the next owner reads the
records again. Where too many records of too many projects cannot be stored, the pipeline parks: it keeps its partitions, writes
nothing more, and says so, until a person has looked.
"""

import asyncio
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from math import inf
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from faust.types.tuples import TP

from servicekit.logs import Log
from stream_workers.abort import EXIT_CONFIG, EXIT_DEAD_LETTERS, end_process
from stream_workers.core.assemble import Assembly
from stream_workers.errors import DeadLetterLimitError, FencedError, OffsetGapError, StoreAccessError
from stream_workers.kafka.chunks import FetchedRecords
from stream_workers.metrics import WorkerMetrics
from stream_workers.pipeline.decode import RecordDecoder, canonical_json
from stream_workers.pipeline.writer import Writer
from stream_workers.store.batch import Received, WriteBatch, batch_of

_SLICE: Final = 50
_T = TypeVar("_T")
_Error = TypeVar("_Error", bound=BaseException)
_log = Log("worker.pipeline")


class ChunkSource(Protocol):
    """The consumer that the chunks come from."""

    def done(self, message: Any) -> None:  # noqa: ANN401 - Faust's message
        """The chunk is stored."""

    def drop(self, message: Any) -> None:  # noqa: ANN401 - Faust's message
        """The chunk is given up unstored."""

    async def rewind(self, tp: TP, offset: int) -> None:
        """Read the partition again from `offset`."""


class DecodedChunk(NamedTuple):
    """A chunk with its records decoded."""

    message: Any
    received: Sequence[Received]
    size_bytes: int
    """Of its records' values, as they were unpacked."""


class ReadyBatch(NamedTuple):
    """Chunks and their batch."""

    chunks: list[DecodedChunk]
    batch: WriteBatch


class ByteBudget:
    """Bytes that are held at once, at the most. A single chunk that is larger passes alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._room = asyncio.Event()

    async def take(self, size: int) -> None:
        """Wait until there is room. One caller at a time."""
        while self._held and self._held + size > self._most:
            self._room.clear()
            await self._room.wait()
        self._held += size

    def give_back(self, size: int) -> None:
        """What was taken before is held no more."""
        self._held -= size
        self._room.set()


class IngestPipeline:
    """Owns the chunks between Faust and the store. `run` until cancelled."""

    def __init__(
        self,
        writer: Writer,
        decoder: RecordDecoder,
        source: ChunkSource,
        gaps: "GapResolver",
        metrics: WorkerMetrics,
        *,
        batch_max_rows: int,
        batch_max_wait_s: float,
        buffer_max_chunks: int,
        buffer_max_bytes: int = 24 << 20,
        exit_on_dead_letters: bool = False,
    ) -> None:
        self._writer = writer
        self._decoder = decoder
        self._source = source
        self._gaps = gaps
        self._metrics = metrics
        self._max_rows = batch_max_rows
        self._max_wait_s = batch_max_wait_s
        self._waiting: asyncio.Queue[DecodedChunk] = asyncio.Queue(maxsize=buffer_max_chunks)
        self._ready: asyncio.Queue[ReadyBatch] = asyncio.Queue(maxsize=1)
        self._held = ByteBudget(buffer_max_bytes)
        self._changed = asyncio.Event()  # a chunk came, or the writer has nothing left to write
        self._idle = True
        self._exit_on_dead_letters = exit_on_dead_letters
        self.parked: str | None = None
        """Why nothing is written any more, as a code; None while it works."""

    async def put(self, message: Any) -> None:  # noqa: ANN401 - Faust's message
        """Take a chunk. Waits while the buffer is full, in chunks or in bytes, which makes Faust stop fetching."""
        size_bytes = message.value.size_bytes
        await self._held.take(size_bytes)
        try:
            received = await self._received(message.value)
            message.value = message.value._replace(records=[])  # as objects they are large enough
            await self._waiting.put(DecodedChunk(message, received, size_bytes))
        except BaseException:
            self._held.give_back(size_bytes)
            raise
        self._changed.set()

    async def _received(self, fetched: FetchedRecords) -> list[Received]:
        received: list[Received] = []
        for some in _slices(fetched.records):
            received += self._decode(fetched.partition, some)
            await asyncio.sleep(0)
        self._metrics.records.inc(len(received))
        self._metrics.events.inc(sum(len(item.record.events) for item in received if item.record is not None))
        return received

    def _decode(self, partition: int, records: Sequence[Any]) -> list[Received]:
        before = self._decoder.unknown_members
        with self._metrics.cpu("decode"):
            received = self._decoder.decode(partition, records)
        self._metrics.unknown_members.inc(self._decoder.unknown_members - before)
        return received

    async def run(self) -> None:
        """Gather and write until cancelled, or park and wait for that. An unexpected error ends the process."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._gather())
                tasks.create_task(self._write())
        except* DeadLetterLimitError as group:
            for error in _leaves(group):
                _log.error("dead_letter_limit", projects=error.projects, parked=not self._exit_on_dead_letters)
            if self._exit_on_dead_letters:
                os._exit(EXIT_DEAD_LETTERS)
            self.parked = "dead_letter_limit"
        except* StoreAccessError as group:
            for refusal in _leaves(group):
                _log.error("store_access_refused", reason=refusal.fault, sqlstate=refusal.code)
            os._exit(EXIT_CONFIG)
        except* Exception as group:  # noqa: BLE001 - nothing may be committed after an unknown error
            end_process(group.exceptions[0])
        self._metrics.parked.set(1)
        await asyncio.Event().wait()

    async def _gather(self) -> None:
        now, handed_on_s = asyncio.get_running_loop().time, -inf
        while True:
            chunks = [self._held_back(await self._waiting.get())]
            assembly = Assembly(canonical_json)
            rows = await self._assemble(assembly, chunks[0])
            while rows < self._max_rows and (one := await self._next_chunk(handed_on_s + self._max_wait_s)):
                chunks.append(self._held_back(one))
                rows += await self._assemble(assembly, chunks[-1])
            with self._metrics.cpu("assemble"):
                batch = batch_of(_received(chunks), assembly.rows())
            self._idle = False
            await self._ready.put(ReadyBatch(chunks, batch))
            handed_on_s = now()

    def _held_back(self, chunk: DecodedChunk) -> DecodedChunk:
        """The chunk, with dead letters for records of parked projects: these cost no assembling."""
        return chunk._replace(received=self._writer.hold_back(chunk.received))

    async def _next_chunk(self, until_s: float) -> DecodedChunk | None:
        """One more chunk for the batch; None when the batch is to be written now.

        A batch grows until `until_s`, which keeps transactions apart, and until the writer is idle.
        """
        while self._waiting.empty():
            left_s = until_s - asyncio.get_running_loop().time()
            if left_s <= 0 and self._idle:
                return None
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s if left_s > 0 else None):
                    await self._changed.wait()
        return self._waiting.get_nowait()

    async def _assemble(self, assembly: Assembly, chunk: DecodedChunk) -> int:
        """Add a chunk's records. Returns about how many rows they make; a record that cannot be decoded makes one as well."""
        for some in _slices(chunk.received):
            with self._metrics.cpu("assemble"):
                for item in some:
                    if item.record is not None:
                        assembly.add(item.record)
            await asyncio.sleep(0)
        return sum(1 if item.record is None else len(item.record.events) for item in chunk.received)

    async def _write(self) -> None:
        while True:
            chunks, batch = await self._ready.get()
            known: WriteBatch | None = batch
            while chunks:
                try:
                    await self._writer.write(_received(chunks), batch=known)
                except FencedError as error:
                    # Their new owner reads them. Later chunks of these partitions cannot pass: the watermark stays before them.
                    chunks, known = self._give_up(chunks, error.partitions), None
                except OffsetGapError as error:
                    chunks, known = await self._read_again(chunks, error), None
                else:
                    self._finish(chunks)
                    break
            self._idle = self._ready.empty()
            self._changed.set()

    def _finish(self, chunks: Sequence[DecodedChunk]) -> None:
        for one in chunks:
            self._source.done(one.message)
            self._held.give_back(one.size_bytes)

    def _give_up(self, chunks: Sequence[DecodedChunk], partitions: Collection[int]) -> list[DecodedChunk]:
        """Drop the chunks of these partitions. Returns those that are left."""
        kept = []
        for one in chunks:
            if one.message.tp.partition in partitions:
                self._source.drop(one.message)
                self._held.give_back(one.size_bytes)
            else:
                kept.append(one)
        return kept

    async def _read_again(self, chunks: list[DecodedChunk], error: OffsetGapError) -> list[DecodedChunk]:
        """Drop the chunks of partitions with a gap and read those partitions again. Returns the chunks that can be written."""
        kept = self._give_up(chunks, error.frontiers)
        for tp in {one.message.tp for one in chunks if one.message.tp.partition in error.frontiers}:
            self._metrics.rewinds.inc()
            found = min(one.message.value.start for one in chunks if one.message.tp == tp)
            await self._source.rewind(tp, await self._gaps.resume_at(tp, error.frontiers[tp.partition], found))
        return kept


class GapResolver(Protocol):
    """Says where reading goes on when offsets are missing."""

    async def resume_at(self, tp: TP, frontier: int, found: int) -> int:
        """The offset to read from when `found` came and `frontier` was due. Losses are recorded before they are passed."""
        ...


def _leaves(group: BaseExceptionGroup[_Error]) -> Iterator[_Error]:
    """The errors of a group, also those of groups in it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _received(chunks: Sequence[DecodedChunk]) -> list[Received]:
    return [item for one in chunks for item in one.received]


def _slices(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Pieces so small that the transaction under way gets its turn every few milliseconds."""
    for start in range(0, len(items), _SLICE):
        yield items[start : start + _SLICE]
