"""Silence and age of a producer, told by a clock of the test."""

from producer_gateway.progress import Progress


def test_nothing_waits() -> None:
    """A producer that nobody waits for is never silent, however long."""
    progress = Progress(now=0)
    assert (progress.silence(now=100), progress.age(now=100)) == (0, 0)


def test_silence_and_age() -> None:
    """Silence counts from when the waiting began, age from the oldest wait."""
    progress = Progress(now=0)
    progress.begin("a", since=10)
    progress.begin("b", since=12)
    assert (progress.silence(now=15), progress.age(now=15)) == (5, 5)
    progress.end("a")
    assert (progress.silence(now=15), progress.age(now=15)) == (3, 3)


def test_an_ack_ends_silence_but_not_age() -> None:
    """One partition's acknowledgements do not hide that another one hangs."""
    progress = Progress(now=0)
    progress.begin("hangs", since=10)
    progress.acked(now=19)
    assert (progress.silence(now=20), progress.age(now=20), progress.acked_at()) == (1, 10, 19)


def test_a_failure_is_silence_until_an_ack() -> None:
    """An attempt that ended without an acknowledgement still counts as silence, until there is one."""
    progress = Progress(now=0)
    progress.failed(since=5)
    progress.failed(since=8)
    assert progress.silence(now=10) == 5
    progress.acked(now=11)
    assert progress.silence(now=20) == 0
