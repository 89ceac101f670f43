"""The workers: rate beside the ceiling, freshness, cost with much stored, memory. `make bench-worker`; one part: `--only scale`.

Writes build/bench-worker.json, prints each target with what was found, and ends with exit code 1 when one of them is missed.
Parts that are not measured now keep what the file said of them; each says how many cores others used just before it. How each is
measured stands at the head of its module and in the file. On two cores `scale` takes about twelve minutes.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import verdict, worker_freshness, worker_rate, worker_scale
from tests.support.stacks import Stack, new_stack

OUTPUT = Path(__file__).parents[2] / "build" / "bench-worker.json"
PARTS = {"rate": worker_rate, "freshness": worker_freshness, "scale": worker_scale}
Figures = dict[str, Any]


def main() -> int:
    """Measure, write, print. Exit code 1 when a target is missed."""
    options = _options()
    figures: Figures = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    figures |= {"machine": {"cores": os.cpu_count(), "python": platform.python_version()}}
    for part in options.only:
        stack = new_stack()
        try:
            print(f"--- {part}", flush=True)
            found = _measure(part, stack, options, figures)
        finally:
            stack.stop()
        method = " ".join((PARTS[part].__doc__ or "").split())
        figures[part] = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "method": method, **found}
        _write(figures)
    found_now = _targets(figures, options.only)
    print(verdict.table(found_now), f"({OUTPUT})", sep="\n")
    return verdict.exit_code(found_now)


def _write(figures: Figures) -> None:
    """With the ratio and every target's verdict at the top."""
    told = {name: figures["rate"][name] for name in ("ratio",) if "rate" in figures}
    told |= {"targets": verdict.as_json(_targets(figures, [part for part in PARTS if part in figures]))}
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(
        json.dumps(told | {name: figures[name] for name in figures if name not in told}, indent=2) + "\n", encoding="utf-8"
    )


def _targets(figures: Figures, parts: Sequence[str]) -> list[verdict.Target]:
    return [target for part in parts for target in PARTS[part].targets(figures[part])]


def _measure(part: str, stack: Stack, options: argparse.Namespace, known: Figures) -> Figures:
    if part == "rate":
        return worker_rate.measure(stack, events=options.events, rounds=options.rounds)
    if part == "freshness":
        return worker_freshness.measure(stack, events_per_s=_half_rate(options, known), way=options.load, probes=options.probes)
    return worker_scale.measure(stack, stored=options.stored, rounds=options.rounds)


def _half_rate(options: argparse.Namespace, known: Figures) -> float:
    if options.half_rate:
        return float(options.half_rate)
    if "rate" not in known:
        raise SystemExit("half of which rate? Measure `rate` too, or give --half-rate EVENTS_PER_S")
    return float(known["rate"]["worker"]["events_per_s"]) / 2


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=_parts, default=list(PARTS), help="some of rate,freshness,scale")
    parser.add_argument("--events", type=int, default=1_000_000, help="backlog of a round of `rate`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--half-rate", type=float, help="load of `freshness` in events/s; by default half of what `rate` found")
    parser.add_argument("--load", choices=("gateway", "topic"), default="gateway", help="which way the load of `freshness` goes")
    parser.add_argument("--probes", type=int, default=200, help="runs looked for in each half of `freshness`")
    parser.add_argument("--stored", type=int, default=10_000_000, help="events in the large store of `scale`")
    return parser.parse_args()


def _parts(text: str) -> list[str]:
    chosen = text.split(",")
    if unknown := set(chosen) - set(PARTS):
        raise argparse.ArgumentTypeError(f"no such part: {', '.join(sorted(unknown))}")
    return [part for part in PARTS if part in chosen]


if __name__ == "__main__":
    sys.exit(main())
