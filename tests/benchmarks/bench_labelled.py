"""Labelled real runs by every way in: `make bench-labelled`. Writes build/bench-labelled.json; ends with 1 for a missed target.

Errors found, right codes, right steps, findings that are made up, loops, limits, status against outcome, flat against nested, and
how pure fingerprints are. `LABELLED=folder` takes `facts.jsonl`, and `tool_outputs.jsonl` for the reader of errors, from there;
without it the facts are those of tests/data. A part of it is in `make test`.
"""

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from agenttracer.rules.error_reader import read_output
from stream_workers.core.fold import Tables
from tests.benchmarks import verdict
from tests.benchmarks.labelled_replay import STOPS, VARIANTS, WAYS, Facts, Replayed, index_of, read_facts, replay, replay_nested
from tests.benchmarks.verdict import Target

ROOT: Final = Path(__file__).parents[2]
OWN: Final = ROOT / "tests" / "data" / "labelled"
OUTPUT: Final = ROOT / "build" / "bench-labelled.json"
TAXONOMY_OF: Final[Mapping[str, frozenset[str]]] = {
    "bad_code": frozenset({"code_error"}),
    "tool_failed": frozenset({"tool_error"}),
    "tool_unavailable": frozenset({"tool_unavailable"}),
    "http": frozenset({"server_error", "invalid_input"}),
}
"""Codes of taxonomy 2 by the labels' own, where they are called otherwise."""
_SILENT: Final = frozenset({"empty_retrieval"})
"""Found without an error: a search that found nothing, which the labels count as a result."""


class Finding(NamedTuple):
    """A stored failure, and which step of the facts it is in."""

    at: int | None
    kind: str
    code: str
    outcome: str | None
    fingerprint: str | None
    rule: str


def wanted(label: str) -> frozenset[str]:
    """The codes that are right for a label."""
    return TAXONOMY_OF.get(label, frozenset({label}))


def findings(run: Replayed, tables: Tables) -> list[Finding]:
    """Of one run."""
    steps = {row.step_id: row for row in tables.steps.values() if row.run_id == run.run_id}
    found = []
    for row, verdict_of in tables.failures.values():
        if row.run_id == run.run_id:
            step = steps.get(row.step_id or "")
            index = None if step is None else index_of(step.metadata)
            kind = "" if step is None else step.kind
            found.append(Finding(index, kind, row.failure_code, verdict_of.outcome, verdict_of.fingerprint, row.rule_id))
    return found


class Score:
    """Counts over the runs of one way and variant."""

    def __init__(self) -> None:
        self.raised = self.raised_found = self.raised_right = 0
        self.flagged = self.flagged_found = 0
        self.invented = self.contradictions = 0
        self.limits = self.limits_seen = 0
        self.groups: defaultdict[str | None, Counter[tuple[Any, ...]]] = defaultdict(Counter)

    @property
    def purity(self) -> float:
        """The share of failures that are of the commonest kind of their fingerprint."""
        total = sum(group.total() for group in self.groups.values())
        return sum(group.most_common(1)[0][1] for group in self.groups.values()) / total if total else 1.0

    def add(self, run: Replayed, tables: Tables, variant: str) -> None:
        """Count one run."""
        found = [each for each in findings(run, tables) if each.code != "loop_suspected"]
        state, _, judged = tables.runs["default", run.run_id]
        self.contradictions += judged.status == "success" and any(each.outcome == "fatal" for each in found)
        told: set[int] = set()
        for step in run.facts["steps"]:
            said = step.get("r")
            if "x" in step:
                self._raised(step, [each for each in found if each.at == step["i"] and each.kind != "tool"])
                told.add(step["i"])
            elif said is not None:
                told.add(step["i"])
                at_step = [each for each in found if each.at == step["i"]]
                if variant != "base" and not said.get("soft"):
                    self.flagged += 1
                    self.flagged_found += bool(at_step)
                for each in at_step:
                    truth = (run.facts["set"], step["n"], said["code"], (said.get("cls") or "").rpartition(".")[2])
                    self.groups[each.fingerprint][truth] += 1
        self.invented += sum(each.at is not None and each.at not in told and each.code not in _SILENT for each in found)
        if run.facts["end"] in STOPS:
            self.limits += 1
            self.limits_seen += state.end is not None and str(state.end.end_reason).startswith("limit_")

    def _raised(self, step: Facts, found: Sequence[Finding]) -> None:
        self.raised += 1
        self.raised_found += bool(found)
        self.raised_right += any(each.code in wanted(step["truth"]) for each in found)
        for each in found:
            self.groups[each.fingerprint][step["n"], step["truth"], step["x"]["cls"]] += 1


def loops(runs: Sequence[Replayed], tables: Tables) -> tuple[float, int]:
    """The share of runs in which a loop is found, of those with one by their orchestrator; and how many healthy runs have one."""
    seen = {row.run_id for row, _ in tables.failures.values() if row.failure_code == "loop_suspected"}
    known = [run for run in runs if sum(bool(step.get("self_loop")) for step in run.facts["steps"]) > 1]
    healthy = [run for run in runs if run.facts["set"].startswith("tau") and run.facts["outcome"] == "success"]
    found = sum(run.run_id in seen for run in known)
    return found / len(known) if known else 1.0, sum(run.run_id in seen for run in healthy)


def disagreements(runs: Sequence[Facts]) -> int:
    """Runs that get another status or other outcomes when each turn stands above its calls."""
    told = [run for run in runs if run["set"].startswith("tau")]
    forms = [replay_nested(told, nested=nested) for nested in (False, True)]
    flat, nested = (
        [
            (
                tables.runs["default", run.run_id][2].status,
                Counter((each.code, each.outcome, each.fingerprint) for each in findings(run, tables)),
            )
            for run in replayed
        ]
        for replayed, tables in forms
    )
    return sum(one != other for one, other in zip(flat, nested, strict=True))


def measure(runs: Sequence[Facts]) -> Iterator[Target]:
    """All targets, way by way."""
    for way in WAYS:
        scores = {}
        for variant in VARIANTS:
            replayed, tables = replay(runs, way, variant)
            score = scores[variant] = Score()
            for run in replayed:
                score.add(run, tables, variant)
            if variant == "base":
                has_work = any(row.work_digest for row in tables.steps.values())
                recall, false = loops(replayed, tables)
                note = "" if has_work else "this way names no work"
                yield verdict.at_least(f"{way} loops that the orchestrator saw", recall, 0.5, judged=has_work, note=note)
                yield verdict.at_most(f"{way} loops in successful tau runs", false, 0)
        base, flag, coded = (scores[variant] for variant in VARIANTS)
        yield verdict.at_least(f"{way} raised errors found", base.raised_found / max(1, base.raised), 1.0)
        yield verdict.at_least(f"{way} raised errors with the right code", base.raised_right / max(1, base.raised), 0.95)
        yield verdict.at_least(f"{way} flagged errors found", flag.flagged_found / max(1, flag.flagged), 0.98)
        yield verdict.at_most(f"{way} findings that are made up", sum(score.invented for score in scores.values()), 0)
        yield verdict.at_most(f"{way} fatal in a success", sum(score.contradictions for score in scores.values()), 0)
        yield verdict.at_least(f"{way} purity of fingerprints", coded.purity, 0.95)
        yield verdict.at_least(f"{way} limits seen", coded.limits_seen / max(1, coded.limits), 1.0, judged=way != "otlp")
    yield verdict.at_most("runs that differ when nested", disagreements(runs), 0)


def read_by_texts(path: Path) -> Iterator[Target]:
    """The reader of errors on real results of tools. Their texts are not in this tree."""
    texts = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    errors = [(read_output(one["text"]), one["error"]) for one in texts if one["error"] is not None]
    good = [read_output(one["text"]) for one in texts if one["error"] is None]
    yield verdict.at_least("errors in texts found", sum(found is not None for found, _ in errors) / len(errors), 0.95)
    right = sum(found is not None and found.code in wanted(label) for found, label in errors)
    yield verdict.at_least("errors in texts with the right code", right / len(errors), 0.85)
    yield verdict.at_most("good texts taken for errors", sum(found is not None for found in good) / len(good), 0.005)


def main() -> int:
    """Measure, print, write."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    folder = Path(os.environ.get("LABELLED", OWN))
    facts = folder / "facts.jsonl"
    targets = list(measure(read_facts(facts if facts.exists() else OWN / "facts.jsonl")))
    texts = folder / "tool_outputs.jsonl"
    if texts.exists():
        targets += read_by_texts(texts)
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(verdict.as_json(targets), indent=2) + "\n", encoding="utf-8")
    print(verdict.table(targets))
    return verdict.exit_code(targets)


if __name__ == "__main__":
    sys.exit(main())
