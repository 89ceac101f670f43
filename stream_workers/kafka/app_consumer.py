"""The consumer of a Faust app, for the parts of a worker that are made before it.

Faust makes the consumer when the app first needs it, so it is looked up at each call.
"""

from typing import Any

from faust.types.tuples import TP

from stream_workers.kafka.watermark import OldestChunk


class AppConsumer:
    """The `ChunkConsumer` of an app that may not have started yet."""

    def __init__(self, app: Any) -> None:  # noqa: ANN401 - faust.App, untyped to us
        self._app = app

    def assigned(self) -> list[TP]:
        """The partitions that this worker reads now; none before the app has started."""
        return sorted(self._app.consumer.assignment()) if self._app.started and self._app.consumer.started else []

    def done(self, message: Any) -> None:  # noqa: ANN401 - Faust's message
        """See `ChunkConsumer.done`."""
        self._app.consumer.done(message)

    def drop(self, message: Any) -> None:  # noqa: ANN401 - Faust's message
        """See `ChunkConsumer.drop`."""
        self._app.consumer.drop(message)

    async def rewind(self, tp: TP, offset: int) -> None:
        """See `ChunkConsumer.rewind`."""
        await self._app.consumer.rewind(tp, offset)

    async def earliest_offset(self, tp: TP) -> int:
        """Where the log of a partition starts now."""
        offset: int = (await self._app.consumer.earliest_offsets(tp))[tp]
        return offset

    def highwater(self, tp: TP) -> int | None:
        """The offset after the last record of the partition; None while nothing was fetched."""
        offset: int | None = self._app.consumer.highwater(tp)
        return offset

    def stored_offset(self, tp: TP) -> int | None:
        """See `ChunkConsumer.stored_offset`."""
        offset: int | None = self._app.consumer.stored_offset(tp)
        return offset

    def oldest_s(self, tp: TP) -> float | None:
        """See `ChunkConsumer.oldest_s`."""
        time_s: float | None = self._app.consumer.oldest_s(tp)
        return time_s

    def oldest(self, tp: TP) -> OldestChunk | None:
        """See `ChunkConsumer.oldest`."""
        chunk: OldestChunk | None = self._app.consumer.oldest(tp)
        return chunk

    def reached_s(self, tp: TP) -> float | None:
        """See `ChunkConsumer.reached_s`."""
        time_s: float | None = self._app.consumer.reached_s(tp)
        return time_s
