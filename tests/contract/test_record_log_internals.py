"""What `bounded_producer` relies on in aiokafka beyond its promises. Read a new version before changing these."""

import inspect

import aiokafka
import pytest
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import Sender

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_version_that_was_read() -> None:
    """The version whose traps are listed in `bounded_producer` is the one in use."""
    assert aiokafka.__version__ == "0.14.0"


async def test_parts_that_are_closed_one_by_one() -> None:
    """A producer has the parts that `stop` closes, none of which needs a broker to be closed, and a mark that it is stopped."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", enable_idempotence=True)
    await producer.flush()
    await producer._sender.close()
    await producer.client.close()
    assert producer._closed is False
    producer._closed = True


def test_flush_leaves_no_task_behind() -> None:
    """`flush` waits on futures alone, so that cancelling it leaves nothing running."""
    source = inspect.getsource(MessageAccumulator.flush)
    assert "create_task" not in source
    assert "asyncio.wait(waiters)" in source


def test_an_idempotent_batch_never_expires() -> None:
    """With idempotence whatever is retriable is retried for ever: the reason for every deadline of ours."""
    handler = inspect.getsource(aiokafka.producer.sender.SendProduceReqHandler._can_retry)
    assert "self._sender._txn_manager is None and batch.expired()" in handler


def test_closing_the_sender_cancels_it() -> None:
    """`Sender.close` cancels the task that sends, and needs nothing else to end it."""
    assert "self._sender_task.cancel()" in inspect.getsource(Sender.close)
