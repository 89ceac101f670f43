"""What the gateway makes of a recording: its runs and steps, as expectation files have them and as checks read them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from producer_gateway.events.record_builder import Envelope, build_records
from producer_gateway.otlp import decode_json
from producer_gateway.otlp.convert import ConvertedTraces, to_events
from tests.frameworks.recording import START_US, TICK_US, otlp

Json = dict[str, Any]
SPANS_MAX: Final = 1_000
_RECORD_MAX_BYTES: Final = 900_000
FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Run:
    """One run: what its start and its end say, and its steps in the store's order."""

    start: Json
    end: Json
    steps: list[Json]

    def below(self, step: Json) -> list[Json]:
        """All steps that lie within that one."""
        found, at = [], self.steps.index(step)
        for each in self.steps[at + 1 :]:
            if each["depth"] <= step["depth"]:
                break
            found.append(each)
        return found


def names() -> list[str]:
    """The frameworks that have an agent here."""
    return sorted(each.parent.name for each in FOLDER.glob("*/about.toml"))


def read_recording(name: str) -> Json:
    """The committed recording."""
    found: Json = json.loads((FOLDER / name / "recording.json").read_text(encoding="utf-8"))
    return found


def converted(recording: Json) -> ConvertedTraces:
    """By the gateway's own stages."""
    return to_events(decode_json.decode(json.dumps(otlp(recording)).encode(), spans_max=SPANS_MAX))


def runs_of(traces: ConvertedTraces) -> list[Run]:
    """The runs that lie in the log, in order of their start."""
    found: dict[str, list[Json]] = {}
    for batch in traces.batches:
        for record in build_records(
            batch.events, envelope=Envelope("shop", batch.producer, START_US), record_max_bytes=_RECORD_MAX_BYTES
        ):
            assert record.message is not None
            told = json.loads(record.message.value)
            agent = f"{told['producer']['agent']} {told['producer']['agent_version']}"
            for event in told["events"]:
                found.setdefault(event["run_id"], []).append({**event, "by": agent})
    return sorted(map(_run, found.values()), key=lambda run: run.start["at"] if run.start else run.steps[0]["at"][0])


def written(runs: list[Run]) -> str:
    """The text of an expectation file: one line a step."""
    lines = []
    for run in runs:
        steps = ",\n".join(f"   {json.dumps(step, ensure_ascii=False)}" for step in run.steps)
        head = f'  "start": {json.dumps(run.start)},\n  "end": {json.dumps(run.end)}'
        lines.append(f' {{\n{head},\n  "steps": [\n{steps}\n  ]\n }}')
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _run(events: list[Json]) -> Run:
    starts = [each for each in events if each["type"] == "run_started"]
    ends = [each for each in events if each["type"] == "run_finished"]
    steps = [each for each in events if each["type"] == "step_finished"]
    start = {} if not starts else _start(starts[0])
    return Run(start, {} if not ends else _end(ends[-1]), list(_ordered(steps, start.get("by", ""))))


def _start(event: Json) -> Json:
    return {"by": event["by"], "kind": event.get("kind", "agent"), "at": _tick(event["started_at"]), **_said(event)}


def _end(event: Json) -> Json:
    said = {key: event[key] for key in ("status", "end_reason") if event.get(key)}
    return {**said, "at": _tick(event["ended_at"]), **_evidence(event)}


def _ordered(steps: list[Json], by: str) -> Iterator[Json]:
    """In the store's order, each with its depth."""
    parents = {step["step_id"]: step.get("parent_step_id") for step in steps}

    def depth(step_id: str) -> int:
        parent = parents[step_id]
        return 0 if parent not in parents else 1 + depth(parent)

    depths = {step["step_id"]: depth(step["step_id"]) for step in steps}
    for step in sorted(steps, key=lambda each: (each["started_at"], depths[each["step_id"]], each["step_id"])):
        yield {
            "depth": depths[step["step_id"]],
            "kind": step["kind"],
            "name": step["name"],
            "status": step["status"],
            "at": [_tick(step["started_at"]), _tick(step["started_at"] + step["duration_us"])],
            **({"by": step["by"]} if step["by"] != by else {}),
            **{key: step[key] for key in ("attempt", "agent", "returned_error", "cost") if step.get(key) not in (None, 1)},
            **_evidence(step),
            **_said(step),
        }


def _evidence(event: Mapping[str, Any]) -> Json:
    passed_on = {"passed_on": True} if event.get("cause_step_id") not in {None, event.get("step_id")} else {}
    return {**({"evidence": event["evidence"]} if event.get("evidence") else {}), **passed_on}


def _said(event: Mapping[str, Any]) -> Json:
    return {"metadata": event["metadata"]} if event.get("metadata") else {}


def _tick(at_us: int) -> int:
    return (at_us - START_US) // TICK_US
