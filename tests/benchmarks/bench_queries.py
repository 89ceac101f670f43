"""The query API with ten million runs beside a hundred thousand, while a worker writes. `make bench-queries`.

Two stores are filled (`queries_fill`); then every question (`queries_questions`) is asked of a real query service over loopback,
one after the other, while a real worker writes into the same store at half its rate. Bytes a step are told of both, and of a
store of either kind of ids alone. Writes build/bench-queries.json, prints each target with what was found, and ends with exit
code 1 when one of them is missed. `--only` takes beginnings of questions' names.
"""

import argparse
import asyncio
import json
import math
import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from tests.benchmarks import verdict, worker_rate
from tests.benchmarks.queries_fill import DAYS, Ids, Store, fill
from tests.benchmarks.queries_load import ROUND_S, Load
from tests.benchmarks.queries_questions import Question, questions, sample
from tests.benchmarks.queries_rollups import STEPS_A_RUN
from tests.benchmarks.verdict import Target, at_least, at_most
from tests.benchmarks.worker_process import others
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack, new_stack

OUTPUT: Final = Path(__file__).parents[2] / "build" / "bench-queries.json"
TIMES: Final = 50
SMALL_RUNS: Final = 100_000
GROWTH_MAX: Final = 1.5
NEGLIGIBLE_MS: Final = 20
JUDGED_RUNS: Final = 10_000_000
ROLLUPS_SHARE_MAX: Final = 0.05
FILL_MAX_S: Final = 40 * 60
STORE_MAX_BYTES: Final = 40 * 10**9
SENT_MIN: Final = 0.95
_RATE_EVENTS: Final = 240_000
Figures = dict[str, Any]


class Asked(NamedTuple):
    """A question's answers: milliseconds of each, and how many were not 200."""

    ms: Sequence[float]
    refused: int

    def figures(self) -> Figures:
        """Median, p95 and the longest."""
        return {
            "p50_ms": quantile(self.ms, 0.5),
            "p95_ms": quantile(self.ms, 0.95),
            "max_ms": max(self.ms),
            "refused": self.refused,
        }


def quantile(values: Iterable[float], share: float) -> float:
    """By nearest rank."""
    ordered = sorted(values)
    return round(ordered[math.ceil(share * len(ordered)) - 1], 2)


def targets(found: Mapping[str, Any]) -> list[Target]:
    """What was measured beside what is wanted."""
    large, small = found["large"], found["small"]
    whole = large["runs"] >= JUDGED_RUNS
    told = [
        at_most("seconds to fill", large["fill_s"], FILL_MAX_S, judged=whole),
        at_most("GB of the store", sum(large["bytes"].values()) / 1e9, STORE_MAX_BYTES / 1e9, judged=whole),
        at_most("rollups' share of the detail", large["sizes"]["rollups_share"], ROLLUPS_SHARE_MAX, judged=whole),
        *(
            at_least(f"share of the load sent, {name}", found[name]["load"]["sent_events_per_s"] / found["half_rate"], SENT_MIN)
            for name in ("small", "large")
        ),
    ]
    for name, asked in large["questions"].items():
        told.append(_fast_enough(name, asked))
        if name in small["questions"]:
            told.append(_no_slower(name, asked["p95_ms"], small["questions"][name]["p95_ms"]))
    return told


def _fast_enough(name: str, asked: Mapping[str, Any]) -> Target:
    target = at_most(f"{name}: p95 in ms", asked["p95_ms"], asked["bound_ms"])
    if asked["refused"]:
        return target._replace(passed=False, note=f"{asked['refused']} of {TIMES} were refused")
    return target


def _no_slower(name: str, large_ms: float, small_ms: float) -> Target:
    passed = large_ms <= max(NEGLIGIBLE_MS, GROWTH_MAX * small_ms)
    return Target(
        f"{name}: beside few runs", f"<= {GROWTH_MAX:g}", large_ms / small_ms, passed, f"{small_ms} ms, then {large_ms}"
    )


def sizes(store: Store) -> Figures:
    """Bytes a step of detail and of statistics, and the share of these. Steps that are not here weigh as those that are."""
    by_table = store.bytes_by_table
    steps = store.runs * STEPS_A_RUN
    rollups = sum(size for table, size in by_table.items() if "rollup" in table)
    rest = sum(by_table[table] for table in ("runs", "failures", "run_producers"))
    detail = rest + by_table["steps"] * steps / max(1, store.steps)
    return {
        "detail_bytes": round(detail),
        "rollup_bytes": rollups,
        "rollups_share": rollups / detail,
        "detail_bytes_a_step": round(detail / steps, 1),
        "rollup_bytes_a_step": round(rollups / steps, 1),
    }


def measure(
    stack: Stack, *, runs: int, small: int, times: int, half_rate: float, only: Sequence[str] = ("",), round_s: float = ROUND_S
) -> Figures:
    """Both stores, the small one first; before them as small ones of either kind of ids, for their bytes."""
    found: Figures = {"others_before": others()._asdict(), "half_rate": round(half_rate), "times": times}
    found["sizes_by_ids"] = {ids.name.lower(): _sizes_of(stack, small, ids) for ids in (Ids.RANDOM, Ids.TIME_ORDERED)}
    for name, size in (("small", small), ("large", runs)):
        print(f"--- {name}: {size:,} runs", flush=True)
        found[name] = _measure_one(stack, size, times=times, half_rate=half_rate, only=only, round_s=round_s)
    return found


def _sizes_of(stack: Stack, runs: int, ids: Ids) -> Figures:
    print(f"--- {ids.name.lower()} ids: {runs:,} runs", flush=True)
    dsn = stack.dsn(database=stack.migrated_database(), role="agenttracer_owner")
    return sizes(asyncio.run(fill(dsn, runs=runs, ids=ids)))


def _measure_one(stack: Stack, runs: int, *, times: int, half_rate: float, only: Sequence[str], round_s: float) -> Figures:
    pipeline = Pipeline(stack)
    dsn = stack.dsn(database=pipeline.database, role="agenttracer_owner")
    try:
        store = asyncio.run(fill(dsn, runs=runs))
        asked = [
            one for one in questions(store, asyncio.run(sample(dsn, store)), times=times) if one.name.startswith(tuple(only))
        ]
        pipeline.worker()
        query = pipeline.query()
        with Load(pipeline, events_per_s=half_rate, round_s=round_s) as load:
            answers = {question.name: _ask(query.url, question) for question in asked}
    finally:
        pipeline.close()
    return {
        **_of_store(store),
        "load": {"sent_events_per_s": round(load.sent / load.seconds), "seconds": round(load.seconds)},
        "questions": answers,
    }


def _of_store(store: Store) -> Figures:
    return {
        "runs": store.runs,
        "steps": store.steps,
        "days": DAYS,
        "fill_s": round(store.seconds),
        "bytes": store.bytes_by_table,
        "sizes": sizes(store),
    }


def _ask(url: str, question: Question) -> Figures:
    """Ask it, after two times that do not count: connections, and the catalog's caches of a new backend."""
    with httpx.Client(base_url=url, timeout=60) as client:
        for path in question.paths[:2]:
            client.get(path)
        ms, refused = [], 0
        for path in question.paths:
            began = time.perf_counter()
            answer = client.get(path)
            ms.append((time.perf_counter() - began) * 1000)
            assert answer.status_code != 404, f"{path}: {answer.text}"
            refused += answer.status_code != 200
    figures = {"bound_ms": question.bound_ms, **Asked(ms, refused).figures()}
    print(
        f"{question.name:<40} p50 {figures['p50_ms']:9.1f} ms   p95 {figures['p95_ms']:9.1f} ms   refused {refused}", flush=True
    )
    return figures


def _half_rate(stack: Stack, given: float | None) -> float:
    if given is not None:
        return given
    rate = worker_rate.measure(stack, events=_RATE_EVENTS, rounds=1)["worker"]
    assert isinstance(rate, dict)
    return float(rate["events_per_s"]) / 2


def main() -> int:
    """Measure, write, print. Exit code 1 when a target is missed."""
    options = _options()
    stack = new_stack()
    try:
        half_rate = _half_rate(stack, options.half_rate)
        found = measure(
            stack, runs=options.runs, small=options.small, times=options.times, half_rate=half_rate, only=options.only
        )
    finally:
        stack.stop()
    told = targets(found)
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    figures = {
        "at": at,
        "machine": machine,
        "method": " ".join((__doc__ or "").split()),
        "targets": verdict.as_json(told),
        **found,
    }
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(verdict.table(told), f"({OUTPUT})", sep="\n")
    return verdict.exit_code(told)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=JUDGED_RUNS, help="runs in the large store")
    parser.add_argument("--small", type=int, default=SMALL_RUNS, help="runs in the small store")
    parser.add_argument("--times", type=int, default=TIMES, help="how often each question is asked")
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=[""], help="beginnings of names: `runs,run: steps,stats`"
    )
    parser.add_argument("--half-rate", type=float, help="events/s that the worker writes meanwhile; by default half of its rate")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
