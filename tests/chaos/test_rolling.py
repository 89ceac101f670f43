"""A rolling restart of every service, small: nothing is lost, and whoever asked was answered by somebody."""

from tests.chaos.rolling import rolling
from tests.support.stacks import Stack


def test_a_rolling_restart_loses_nothing(stack: Stack) -> None:
    """Two gateways, two workers, two query services, one after the other, while clients send and read."""
    report = rolling(stack, events=6_000, spread_s=30, seed=3)
    assert report["broken"] == {}, report
    assert report["settled"], report
    assert report["reads"]["answered"] > 0
    assert report["requests"]["sent"] > 0
