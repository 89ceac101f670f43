"""Silence and age of a producer, told by a clock of the test."""

from producer_gateway.kafka.ack_watchdog import AckWatchdog


def test_nothing_waits() -> None:
    """A producer that nobody waits for is never silent, however long."""
    watchdog = AckWatchdog(now=0)
    assert (watchdog.silence(now=100), watchdog.age(now=100)) == (0, 0)


def test_silence_and_age() -> None:
    """Silence counts from when the waiting began, age from the oldest wait."""
    watchdog = AckWatchdog(now=0)
    watchdog.begin("a", since=10)
    watchdog.begin("b", since=12)
    assert (watchdog.silence(now=15), watchdog.age(now=15)) == (5, 5)
    watchdog.end("a")
    assert (watchdog.silence(now=15), watchdog.age(now=15)) == (3, 3)


def test_an_ack_ends_silence_but_not_age() -> None:
    """One partition's acknowledgements do not hide that another one hangs."""
    watchdog = AckWatchdog(now=0)
    watchdog.begin("hangs", since=10)
    watchdog.acked(now=19)
    assert (watchdog.silence(now=20), watchdog.age(now=20), watchdog.acked_at()) == (1, 10, 19)


def test_a_failure_is_silence_until_an_ack() -> None:
    """An attempt that ended without an acknowledgement still counts as silence, until there is one."""
    watchdog = AckWatchdog(now=0)
    watchdog.failed(since=5)
    watchdog.failed(since=8)
    assert watchdog.silence(now=10) == 5
    watchdog.acked(now=11)
    assert watchdog.silence(now=20) == 0
