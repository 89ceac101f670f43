"""The measures that two cohorts are compared by, from the counts of each, with correction for their number. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from query_service.aggregate import RunTotals, StepSums, settled
from query_service.comparison.intervals import CONFIDENCE, Difference, Rate, holm, quantile_difference, rate_difference
from query_service.comparison.means import mean_difference
from query_service.percentiles import NO_LATENCY, bucket_of, percentile_us
from query_service.store.rows import CountedRuns, DrawnCohort, Moments, StepCount
from query_service.store.store import CountFilter

STEPS_COMPARED: Final = 50
"""Steps by name that are compared, those with the most calls: each one more makes all of them harder to tell from chance."""
CODES_COMPARED: Final = 20


class Unit(StrEnum):
    """What a measure is in."""

    RATE = "rate"
    MS = "ms"
    COUNT = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The runs and steps of one side, added up. `codes` counts runs by first failure, `steps` has sums by kind and name.

    `moments` are those of means, where runs were looked at one by one.
    """

    runs: RunTotals
    codes: Counter[tuple[str, str]]
    steps: dict[tuple[str, str], StepSums]
    moments: Mapping[str, Moments] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: CountedRuns, steps: Iterable[StepCount], which: CountFilter) -> "Cohort":
        """Add the counts up. They were told apart by status, failure, and kind and name of step."""
        cohort = cls(runs=RunTotals(), codes=Counter(), steps={})
        for row in settled(runs, which):
            cohort.runs.add(row)
            if row.failure_type:
                cohort.codes[row.failure_type, row.failure_code] += row.runs
        for step in steps:
            cohort.steps.setdefault((step.kind, step.name), StepSums()).add(step)
        return cohort

    @classmethod
    def drawn(cls, found: DrawnCohort) -> "Cohort":
        """Add up runs that were looked at one by one."""
        cohort = cls(
            runs=RunTotals(),
            codes=Counter(),
            steps={},
            moments={"steps_per_run": found.steps_per_run, "tokens_per_run": found.tokens_per_run},
        )
        for run in found.runs:
            cohort.runs.by_status[run.status] += 1
            cohort.runs.buckets[NO_LATENCY if run.latency_us is None else bucket_of(run.latency_us)] += 1
            if run.failure_type:
                cohort.codes[run.failure_type, run.failure_code] += 1
        for step in found.steps:
            cohort.steps.setdefault((step.kind, step.name), StepSums()).add(step)
        return cohort

    @property
    def step_count(self) -> int:
        """All steps."""
        return sum(one.steps for one in self.steps.values())

    @property
    def tokens(self) -> int:
        """Input and output tokens of all steps."""
        return sum(one.input_tokens + one.output_tokens for one in self.steps.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One measure of both. `p_corrected` holds for all measures together; `about` names the step or the failure."""

    measure: str
    unit: Unit
    about: tuple[str, str] | None
    a: float | None
    b: float | None
    n_a: int
    n_b: int
    difference: Difference | None
    p_corrected: float | None

    @property
    def significant(self) -> bool:
        """Whether the two differ, all measures considered."""
        return self.p_corrected is not None and self.p_corrected < 1 - CONFIDENCE


def compare(a: Cohort, b: Cohort) -> list[Compared]:
    """All measures, those of the runs first. P values are corrected by Holm's method."""
    found = [*_of_runs(a, b), *_of_codes(a, b), *_of_steps(a, b)]
    p_values = {place: p for place, one in enumerate(found) if one.difference and (p := one.difference.p_value) is not None}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return [replace(one, p_corrected=corrected.get(place)) for place, one in enumerate(found)]


def _of_runs(a: Cohort, b: Cohort) -> Iterator[Compared]:
    yield _rate("failure_rate", Rate(a.runs.failed, a.runs.over), Rate(b.runs.failed, b.runs.over))
    yield from _quantiles("", a.runs.buckets, b.runs.buckets)
    for measure, of_a, of_b in (("steps_per_run", a.step_count, b.step_count), ("tokens_per_run", a.tokens, b.tokens)):
        if measure in a.moments and measure in b.moments:
            yield _tested_mean(measure, a.moments[measure], b.moments[measure])
        else:
            yield _mean(measure, (of_a, a.runs.runs), (of_b, b.runs.runs))


def _of_codes(a: Cohort, b: Cohort) -> Iterator[Compared]:
    for code, _ in (a.codes + b.codes).most_common(CODES_COMPARED):
        rates = Rate(a.codes[code], a.runs.runs), Rate(b.codes[code], b.runs.runs)
        yield _rate("failure_code_rate", *rates, about=code)


def _of_steps(a: Cohort, b: Cohort) -> Iterator[Compared]:
    calls: Counter[tuple[str, str]] = Counter()
    for cohort in (a, b):
        calls.update({name: sums.steps for name, sums in cohort.steps.items()})
    for name, _ in calls.most_common(STEPS_COMPARED):
        of_a, of_b = a.steps.get(name, StepSums()), b.steps.get(name, StepSums())
        yield _rate("step_error_rate", Rate(of_a.errors, of_a.steps), Rate(of_b.errors, of_b.steps), about=name)
        yield from _quantiles("step_", of_a.buckets, of_b.buckets, quantiles=(95,), about=name)


def _rate(measure: str, a: Rate, b: Rate, *, about: tuple[str, str] | None = None) -> Compared:
    return Compared(
        measure=measure,
        unit=Unit.RATE,
        about=about,
        a=a.value if a.n else None,
        b=b.value if b.n else None,
        n_a=a.n,
        n_b=b.n,
        difference=rate_difference(a, b) if a.n and b.n else None,
        p_corrected=None,
    )


def _quantiles(
    prefix: str,
    a: Counter[int],
    b: Counter[int],
    *,
    quantiles: Sequence[int] = (50, 95, 99),
    about: tuple[str, str] | None = None,
) -> Iterator[Compared]:
    for percent in quantiles:
        found = quantile_difference(a, b, percent / 100)
        (value_a, n_a), (value_b, n_b) = (_percentile(each, percent) for each in (a, b))
        yield Compared(
            measure=f"{prefix}p{percent}_ms",
            unit=Unit.MS,
            about=about,
            a=value_a,
            b=value_b,
            n_a=n_a,
            n_b=n_b,
            difference=None if found is None else _in_ms(found),
            p_corrected=None,
        )


def _percentile(histogram: Counter[int], percent: int) -> tuple[float | None, int]:
    us = percentile_us(histogram, percent)
    return None if us is None else us / 1000, sum(count for bucket, count in histogram.items() if bucket != NO_LATENCY)


def _in_ms(found: Difference) -> Difference:
    low, high = found.low, found.high
    return Difference(
        found.value / 1000, None if low is None else low / 1000, None if high is None else high / 1000, found.p_value
    )


def _tested_mean(measure: str, a: Moments, b: Moments) -> Compared:
    return Compared(
        measure=measure,
        unit=Unit.COUNT,
        about=None,
        a=a.mean if a.n else None,
        b=b.mean if b.n else None,
        n_a=a.n,
        n_b=b.n,
        difference=mean_difference(a, b),
        p_corrected=None,
    )


def _mean(measure: str, a: tuple[int, int], b: tuple[int, int]) -> Compared:
    """A mean has no interval: sums alone are kept, and not how much runs differ."""
    (sum_a, n_a), (sum_b, n_b) = a, b
    mean_a, mean_b = (sum_a / n_a if n_a else None), (sum_b / n_b if n_b else None)
    known = mean_a is not None and mean_b is not None
    return Compared(
        measure=measure,
        unit=Unit.COUNT,
        about=None,
        a=mean_a,
        b=mean_b,
        n_a=n_a,
        n_b=n_b,
        difference=Difference((mean_b or 0.0) - (mean_a or 0.0), None, None, None) if known else None,
        p_corrected=None,
    )
