"""The demo's figures and its verdict: what was sent against what was read back. Pure, except for writing them to a file."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from agenttracer_cli.demo.progress import SendProgress
from agenttracer_cli.demo.responses import FailureJson
from agenttracer_cli.local_stack.files import write_atomically


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The content of `demo.json`. Events are those with a sequence number; seconds count from the start of sending."""

    runs: int
    """Visible ones."""
    runs_started: int
    emitted: int
    accepted: int
    dropped: int
    stored: int
    seconds_to_first_visible: float | None
    seconds_to_visible: float | None
    runs_by_status: Mapping[str, int]
    failures: Mapping[str, int]
    """By code."""
    failures_by_type: Mapping[str, int]
    failures_expected: Sequence[str]
    missing: Sequence[str] = field(default=())
    """Why the demo failed, in words; empty if it succeeded."""


def figures_of(
    progress: SendProgress, failures: Sequence[FailureJson], *, expected: Collection[str], problems: Sequence[str]
) -> Figures:
    """Count the results and compare them with the expected ones."""
    codes = Counter(failure["failure_code"] for failure in failures)
    return Figures(
        runs=len(progress.runs),
        runs_started=len(progress.sent.run_ids),
        emitted=progress.sent.emitted,
        accepted=progress.sent.accepted,
        dropped=progress.sent.dropped,
        stored=progress.stored,
        seconds_to_first_visible=_rounded(progress.first_visible_s),
        seconds_to_visible=_rounded(progress.all_visible_s),
        runs_by_status=_by_count(Counter(run["status"] for run in progress.runs)),
        failures=_by_count(codes),
        failures_by_type=_by_count(Counter(failure["failure_type"] for failure in failures)),
        failures_expected=sorted(expected),
        missing=[*problems, *_missing_events(progress), *_missing_classes(expected, codes)],
    )


def write_figures(path: Path, figures: Figures) -> None:
    """Replace the file atomically."""
    write_atomically(path, json.dumps(asdict(figures), indent=2) + "\n")


def _missing_events(progress: SendProgress) -> list[str]:
    sent = progress.sent
    found = [] if progress.query_error is None else [progress.query_error]
    if not sent.accepted:
        return [*found, "nothing was accepted; does the gateway answer, and is tracing not switched off?"]
    if sent.dropped:
        found.append(f"{sent.dropped} of {sent.emitted} events were dropped by the SDK before they were accepted")
    if progress.stored != sent.accepted:
        found.append(f"{sent.accepted} events were accepted and {progress.stored} are stored")
    if len(progress.runs) != len(sent.run_ids):
        found.append(f"{len(sent.run_ids)} runs were started and {len(progress.runs)} are visible")
    return found


def _missing_classes(expected: Collection[str], found: Mapping[str, int]) -> list[str]:
    absent = sorted(code for code in expected if not found.get(code))
    return [f"failure class {code} was provoked and not found" for code in absent]


def _by_count(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
