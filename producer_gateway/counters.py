"""Counters that cost an addition, for what is counted several times a request.

prometheus-client's own take a lock each time, a microsecond or more, a dozen times a request. These are plain numbers that one
event loop owns, and become samples when Prometheus reads them.
"""

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector


class PlainCounter:
    """A number that goes up, or for a gauge up and down."""

    __slots__ = ("created", "value")

    def __init__(self) -> None:
        self.value: float = 0
        self.created = time.time()

    def inc(self, amount: float = 1) -> None:
        """Add."""
        self.value += amount


class PlainHistogram:
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


class CounterFamily(Collector):
    """All counters of one name, by their labels. They are gauges where the name does not end in `_total`."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = (), *, registry: CollectorRegistry) -> None:
        self._named = name, documentation
        self._family: Final = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        self._labels = labels
        self._children: dict[tuple[str, ...], PlainCounter] = {}
        registry.register(self)

    def of(self, *labels: str) -> PlainCounter:
        """The one with these labels. It is shown from now on."""
        return self._children.setdefault(labels, PlainCounter())

    def collect(self) -> Iterator[Metric]:
        """For prometheus-client."""
        family = self._family(*self._named, labels=self._labels)
        for labels, counter in self._children.items():
            family.add_metric(labels, counter.value)
            if isinstance(family, CounterMetricFamily):
                family.add_sample(f"{family.name}_created", dict(zip(self._labels, labels, strict=True)), counter.created)
        yield family


class HistogramFamily(Collector):
    """All histograms of one name, by their labels."""

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
        self._children: dict[tuple[str, ...], PlainHistogram] = {}
        registry.register(self)

    def of(self, *labels: str) -> PlainHistogram:
        """The one with these labels. It is shown from now on."""
        return self._children.setdefault(labels, PlainHistogram(self._bounds))

    def collect(self) -> Iterator[Metric]:
        """For prometheus-client."""
        family = HistogramMetricFamily(*self._named, labels=self._labels)
        for labels, histogram in self._children.items():
            family.add_metric(labels, list(zip(self._names, accumulate(histogram.counts), strict=True)), histogram.total)
            family.add_sample(f"{family.name}_created", dict(zip(self._labels, labels, strict=True)), histogram.created)
        yield family
