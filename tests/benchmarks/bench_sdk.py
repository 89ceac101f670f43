"""What the SDK costs in the agent's process, beside the OpenTelemetry SDK's BatchSpanProcessor doing the same.

`make bench-sdk`, or `python -m tests.benchmarks.bench_sdk`. Writes build/bench-sdk.json. The work is a run (a root span) with
ten steps (child spans) of two attributes each. Both sides send over HTTP to the same sink on this machine, in a process of its
own: ours JSON, OpenTelemetry's OTLP exporter protobuf. A third turn has an exporter that only counts, in the process:
it neither encodes nor sends, so its background thread takes nothing from the calling one; `ratio_to_counting` is against it.
All take turns, each turn in a process of its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.sdk_sink import sink

OUTPUT = Path(__file__).parents[2] / "build" / "bench-sdk.json"
TARGETS = {"ratio": 12, "p99_us": 50, "queue_mib": 32, "import_ms": 30, "wheel_kb": 160, "exit_s": 2.5}


def measured(what: str, *arguments: str) -> Any:
    """One turn, in a new process."""
    command = [sys.executable, "-m", "tests.benchmarks.sdk_turns", what, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def side_by_side(url: str, *, turns: int) -> dict[str, Any]:
    """CPU of the calling thread per step, A B C A B C; and the longest calls."""
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    counting: list[dict[str, float]] = []
    for _ in range(turns):
        ours.append(measured("ours", url))
        theirs.append(measured("opentelemetry", url))
        counting.append(measured("opentelemetry"))
    figures = {"agenttracer": _medians(ours), "opentelemetry": _medians(theirs), "opentelemetry_counting": _medians(counting)}
    ratios = _ratios(ours, theirs)
    return {
        **figures,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "ratio_to_counting": statistics.median(_ratios(ours, counting)),
    }


def _ratios(ours: Sequence[dict[str, float]], theirs: Sequence[dict[str, float]]) -> list[float]:
    return [round(b["cpu_us_per_step"] / a["cpu_us_per_step"], 2) for a, b in zip(ours, theirs, strict=True)]


def _medians(turns: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(turn[name] for turn in turns), 3) for name in turns[0]}


def import_cost(*, turns: int) -> dict[str, float]:
    """Milliseconds of a new interpreter with an import and without, in pairs. Compiled before, as an installed package is."""
    figures: dict[str, float] = {}
    imports = {
        "agenttracer": "import agenttracer",
        "opentelemetry": "import opentelemetry.sdk.trace, opentelemetry.sdk.trace.export",
    }
    for name, program in imports.items():
        extra = [_started(program) - _started("pass") for _ in range(turns)]
        figures[f"{name}_ms"] = round(statistics.median(extra), 2)
    return figures


def _started(program: str) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    return (time.perf_counter() - began) * 1_000


def wheel() -> dict[str, Any]:
    """Size of the wheel and what it depends on."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", directory]
        subprocess.run(command, cwd=OUTPUT.parents[1] / "sdk", capture_output=True, check=True)
        (path,) = Path(directory).glob("*.whl")
        with zipfile.ZipFile(path) as archive:
            (metadata,) = [name for name in archive.namelist() if name.endswith("METADATA")]
            needs = [line for line in archive.read(metadata).decode().splitlines() if line.startswith("Requires-Dist")]
        return {"kb": round(path.stat().st_size / 1_000, 1), "dependencies": needs}


def black_hole(*, turns: int) -> dict[str, Any]:
    """1,000 runs at once in a loop: its lag without a tracer, with a gateway that answers and with one that never does; exit."""
    lags: dict[str, list[dict[str, float]]] = {"no_tracer": [], "answering": [], "black_holed": []}
    with sink(answers=False) as hole, sink(answers=True) as answering:
        for _ in range(turns):
            lags["no_tracer"].append(measured("loop"))
            lags["answering"].append(measured("loop", answering))
            lags["black_holed"].append(measured("loop", hole))
        exits = [measured("exit", hole)["exit_s"] for _ in range(turns)]
    return {
        "lag_p99_ms": {name: _medians(each)["lag_p99_ms"] for name, each in lags.items()},
        "lag_p99_ms_turns": {name: [turn["lag_p99_ms"] for turn in each] for name, each in lags.items()},
        "exit_s": round(statistics.median(exits), 2),
    }


def main() -> None:
    """Measure everything, write it down, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=13)
    turns: int = parser.parse_args().turns
    with sink(answers=True) as url:
        figures = side_by_side(url, turns=turns)
    figures |= {
        "queue": measured("queue"),
        "import": import_cost(turns=min(3 * turns, 21)),
        "wheel": wheel(),
        "black_hole": black_hole(turns=min(turns, 5)),
        "targets": TARGETS,
        "method": (__doc__ or "").split("\n\n")[1].replace("\n", " "),
        "python": sys.version.split()[0],
    }
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(figures, indent=2) + "\n")
    sys.stdout.write(OUTPUT.read_text())


if __name__ == "__main__":
    main()
