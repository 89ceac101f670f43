"""Counters that cost an addition, for what is counted several times a request.

Those of prometheus-client take a lock each time, a microsecond or more, a dozen times a request. These are plain numbers that one
event loop owns, and become samples when somebody looks.
"""

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector


class Tally:
    """A number that goes up, or for a gauge up and down."""

    __slots__ = ("created", "value")

    def __init__(self) -> None:
        self.value: float = 0
        self.created = time.time()

    def inc(self, amount: float = 1) -> None:
        """Add."""
        self.value += amount


class Spread:
    """How often a value fell between which bounds, and the sum of all."""

    __slots__ = ("_bounds", "counts", "created", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.created = time.time()

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Tallies(Collector):
    """All tallies of one name, by their labels: a counter, or a gauge where its name does not end in `_total`."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = (), *, registry: CollectorRegistry) -> None:
        self._named = name, documentation
        self._family: Final = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        self._labels = labels
        self._children: dict[tuple[str, ...], Tally] = {}
        registry.register(self)

    def of(self, *labels: str) -> Tally:
        """The one with these labels, from now on shown."""
        return self._children.setdefault(labels, Tally())

    def collect(self) -> Iterator[Metric]:
        """For prometheus-client."""
        family = self._family(*self._named, labels=self._labels)
        for labels, tally in self._children.items():
            family.add_metric(labels, tally.value)
            if isinstance(family, CounterMetricFamily):
                family.add_sample(f"{family.name}_created", dict(zip(self._labels, labels, strict=True)), tally.created)
        yield family


class Spreads(Collector):
    """All spreads of one name, by their labels: a histogram."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._named = name, documentation
        self._labels = labels
        self._bounds = bounds
        self._names: Final = [*(str(float(bound)) for bound in bounds), "+Inf"]
        self._children: dict[tuple[str, ...], Spread] = {}
        registry.register(self)

    def of(self, *labels: str) -> Spread:
        """The one with these labels, from now on shown."""
        return self._children.setdefault(labels, Spread(self._bounds))

    def collect(self) -> Iterator[Metric]:
        """For prometheus-client."""
        family = HistogramMetricFamily(*self._named, labels=self._labels)
        for labels, spread in self._children.items():
            family.add_metric(labels, list(zip(self._names, accumulate(spread.counts), strict=True)), spread.total)
            family.add_sample(f"{family.name}_created", dict(zip(self._labels, labels, strict=True)), spread.created)
        yield family
