"""The head of an answer travels with its body, and never waits for one that does not come."""

import asyncio

import pytest

from producer_gateway.metrics import GatewayMetrics
from producer_gateway.testing import MemoryRecordLog
from servicekit.http.coalescing_transport import CoalescingTransport
from tests.unit.gateway.served import REQUEST, served

HEAD = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n"


class Sink(asyncio.Transport):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written: list[bytes] = []
        self.closed = self.half_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.half_closed = True


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def lingering() -> list[str]:
    """One entry each time that the connection is told to see to its end."""
    return []


@pytest.fixture
def answers(sink: Sink, lingering: list[str]) -> CoalescingTransport:
    return CoalescingTransport(sink, linger=lambda: lingering.append("told"))


def test_head_waits_for_body(sink: Sink, answers: CoalescingTransport) -> None:
    """Two answers of head and body are two writes."""
    for _ in range(2):
        answers.write(HEAD)
        answers.write(b"{}")
    assert sink.written == [HEAD + b"{}"] * 2


def test_empty_body(sink: Sink, answers: CoalescingTransport) -> None:
    """A body of nothing takes the head along."""
    answers.write(HEAD)
    answers.write(b"")
    assert sink.written == [HEAD]


def test_flush(sink: Sink, answers: CoalescingTransport) -> None:
    """An answer without a body leaves by `flush`, once."""
    answers.write(HEAD)
    answers.flush()
    answers.flush()
    assert sink.written == [HEAD]


def test_close(sink: Sink, answers: CoalescingTransport) -> None:
    """What is kept is sent before the connection is closed."""
    answers.write(HEAD)
    answers.close()
    assert sink.written == [HEAD]
    assert sink.closed


def test_client_gone(sink: Sink, answers: CoalescingTransport) -> None:
    """An answer to a client that is gone is dropped: uvloop raises where something is written to a closed transport."""
    sink.close()
    answers.write(HEAD)
    answers.write(b"{}")
    assert sink.written == []


def test_early_answer(sink: Sink, answers: CoalescingTransport, lingering: list[str]) -> None:
    """Of an answer that comes before its request was sent only our side is closed, once, and nothing is written any more."""
    answers.early = True
    answers.write(HEAD)
    for _ in range(2):
        answers.close()
    answers.write(b"more")
    assert (sink.written, sink.half_closed, sink.closed, lingering) == ([HEAD], True, False, ["told"])
    assert answers.is_closing()


def test_early_answer_to_nobody(sink: Sink, answers: CoalescingTransport, lingering: list[str]) -> None:
    """A connection that is closed already is not closed by half."""
    answers.early = True
    sink.closed = True
    answers.close()
    assert (sink.half_closed, lingering) == (False, [])


def test_interim_answer(sink: Sink, answers: CoalescingTransport) -> None:
    """Who waits for `100 Continue` before the body gets it at once."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    answers.write(interim)
    assert sink.written == [interim]


def test_chunks(sink: Sink, answers: CoalescingTransport) -> None:
    """Whatever follows the first piece of a body is not held."""
    answers.write(HEAD)
    answers.write(b"1\r\na\r\n")
    answers.write(b"0\r\n\r\n")
    assert sink.written == [HEAD + b"1\r\na\r\n", b"0\r\n\r\n"]


def test_everything_else(answers: CoalescingTransport) -> None:
    """All other that a transport does is the transport's."""
    assert answers.get_extra_info("peername") == ("127.0.0.1", 1)


@pytest.mark.anyio
@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
async def test_answer_without_body(log: MemoryRecordLog, metrics: GatewayMetrics, method: bytes) -> None:
    """Over a socket: an answer to HEAD has no body, and comes all the same; so does the next on that connection."""
    async with served(log, metrics) as gateway:
        client = await gateway.connect()
        await client.send(method + b" /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        head = await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 ")
        if method == b"GET":
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            await client.reader.readexactly(length)
        await client.send(REQUEST)
        assert (await client.answer())[0] == 202
