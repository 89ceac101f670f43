"""What stream_workers/kafka/faust_consumer.py relies on inside faust-streaming 0.15.3. When one fails, read that module again."""

import inspect

import pytest
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer, ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver

from stream_workers.kafka.faust_consumer import ChunkConsumer, PatientConsumerThread

_OVERRIDDEN = (
    "ack",
    "_add_gap",
    "_filter_tps_with_pending_acks",
    "_new_offset",
    "_commit_offsets",
    "_new_consumer_thread",
    "perform_seek",
    "_getmany",
    "on_partitions_revoked",
    "on_partitions_assigned",
)


@pytest.mark.parametrize("name", _OVERRIDDEN)
def test_what_we_override_is_still_there_with_the_same_parameters(name: str) -> None:
    """An override that nothing calls any more would be silent data loss."""
    theirs = inspect.signature(getattr(driver.Consumer, name))
    ours = inspect.signature(getattr(ChunkConsumer, name))
    assert list(ours.parameters) == list(theirs.parameters)


def test_the_thread_commits_through_the_method_that_we_override() -> None:
    """A failed commit must not crash the consumer."""
    assert list(inspect.signature(PatientConsumerThread._commit).parameters) == ["self", "offsets"]
    assert "self._commit" in inspect.getsource(driver.AIOKafkaConsumerThread.commit)


def test_the_thread_fetches_through_the_method_that_we_override() -> None:
    """What is unpacked at once is bounded in bytes."""
    theirs = inspect.signature(driver.AIOKafkaConsumerThread._fetch_records)
    assert list(inspect.signature(PatientConsumerThread._fetch_records).parameters) == list(theirs.parameters)
    assert "self._fetch_records" in inspect.getsource(driver.AIOKafkaConsumerThread.getmany)


@pytest.mark.parametrize(
    ("function", "lines"),
    [
        (Consumer._drain_messages, ("callback = self.callback", "callback(message)")),
        (Consumer.getmany, ("self.scheduler.iterate(records)", "to_message(tp, record)")),
        (Consumer._filter_committable_offsets, ("self._new_offset(tp)", "self._should_commit(tp, offset)")),
        (Consumer.force_commit, ("self._filter_tps_with_pending_acks(topics)",)),
        (Consumer.wait_empty, ("self._unacked_messages",)),
        (Consumer._clean_unacked_messages, ("message.acked",)),
        (Recovery._resume_streams, ("consumer.perform_seek()",)),
        (ThreadDelegateConsumer.threadsafe_partitions_assigned, ("self.on_partitions_assigned,",)),
        (ThreadDelegateConsumer.threadsafe_partitions_revoked, ("self.on_partitions_revoked,",)),
    ],
)
def test_what_calls_us_still_does(function: object, lines: tuple[str, ...]) -> None:
    """The calls through which our methods are reached stand in Faust's source."""
    source = inspect.getsource(function)
    for line in lines:
        assert line in source
