"""What is counted plainly is shown as prometheus-client would show its own."""

import re

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from producer_gateway.counters import CounterFamily, HistogramFamily

BOUNDS = (0.005, 0.1, 5.0)
VALUES = (0.001, 0.005, 0.0051, 0.1, 4, 5.0, 17)


def text(registry: CollectorRegistry) -> list[str]:
    """The page, without the moments at which metrics were made."""
    page = generate_latest(registry).decode()
    return sorted(re.sub(r"(_created.*) \S+$", r"\1", page, flags=re.MULTILINE).splitlines())


def test_same_page() -> None:
    """Counter, gauge and histogram, with labels and without, used or not yet: line by line the same."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    for labels in ([], ["project"]):
        kind, values = ("by_project", ["a shop"]) if labels else ("all", [])
        tallies = CounterFamily(f"accepted_{kind}_total", "Events.", labels, registry=ours)
        counter = Counter(f"accepted_{kind}_total", "Events.", labels, registry=theirs)
        tallies_now = CounterFamily(f"in_flight_{kind}", "Requests.", labels, registry=ours)
        gauge = Gauge(f"in_flight_{kind}", "Requests.", labels, registry=theirs)
        spreads = HistogramFamily(f"seconds_{kind}", "To the ack.", labels, bounds=BOUNDS, registry=ours)
        histogram = Histogram(f"seconds_{kind}", "To the ack.", labels, buckets=BOUNDS, registry=theirs)
        assert not labels or text(ours) == text(theirs)
        plain = tallies.of(*values), tallies_now.of(*values), spreads.of(*values)
        locked = [each.labels(*values) if labels else each for each in (counter, gauge, histogram)]
        assert text(ours) == text(theirs)
        for accepted, in_flight, seconds in (plain, locked):
            accepted.inc()
            accepted.inc(41)
            in_flight.inc(3)
            in_flight.inc(-1)
            for value in VALUES:
                seconds.observe(value)
        assert text(ours) == text(theirs)
