"""The questions that every framework's recording is asked, one row of the table in docs/integrations.md each.

Each check says whether the runs show what the scenario did, as far as the converter's events can: who ran, what was called, in
which order and nesting, how much it took and how it ended.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.frameworks.child.scenario import (
    AGENT,
    FAILURES,
    FETCH,
    MODEL,
    PRICE,
    SEARCH,
    STOCK,
    TURNS,
    VERSION,
    input_tokens,
    output_tokens,
)
from tests.frameworks.expectation import Run

Json = dict[str, Any]
Runs = list[Run]
_MODELS: Final = frozenset({"plan", "respond"})
_CALLED: Final = [SEARCH, *[FETCH] * (FAILURES + 1), *sorted((STOCK, PRICE))]


def agent(runs: Runs) -> bool:
    """Each of both runs has an execution of the agent under its name."""
    return all(_executions(run) for run in _both(runs))


def version(runs: Runs) -> bool:
    """Its version is the service's, where the framework knows none."""
    return all(run.start.get("by", "").endswith(f" {VERSION}") for run in _both(runs))


def kinds(runs: Runs) -> bool:
    """A model's call that decided is `plan`, the one that answered `respond`, tools are `tool`."""
    found = [step["kind"] for step in _models(_both(runs)[0])]
    return found == ["plan"] * len(TURNS) + ["respond"]


_ANSWERING: Final = "final_answer"
"""A tool of smolagents, whose model answers by calling it."""


def tools(runs: Runs) -> bool:
    """Tools under their names, in the order of their calls."""
    called = [_called(step) for step in _tools(_both(runs)[0]) if step["name"] != _ANSWERING]
    return called[: FAILURES + 2] + sorted(called[FAILURES + 2 :]) == _CALLED


def order(runs: Runs) -> bool:
    """Between the calls of the model lie the calls that it asked for."""
    turns: list[list[str]] = []
    for step in _told(_both(runs)[0]):
        if step["kind"] in _MODELS:
            turns.append([])
        elif turns and step["kind"] == "tool" and step["name"] != _ANSWERING:
            turns[-1].append(_called(step))
    return [sorted(turn) for turn in turns] == [*(sorted(name for name, _ in turn) for turn in TURNS), []]


def parallel(runs: Runs) -> bool:
    """The calls of the pair overlap."""
    spans = {_called(step): step["at"] for step in _tools(_both(runs)[0])}
    return STOCK in spans and PRICE in spans and max(spans[STOCK][0], spans[PRICE][0]) < min(spans[STOCK][1], spans[PRICE][1])


def nesting(runs: Runs) -> bool:
    """Calls of models and tools lie within the agent's execution, and no tool within a call of the model."""
    run = _both(runs)[0]
    inside = [step for each in _executions(run) or [run.start] for step in (run.steps if each is run.start else run.below(each))]
    if not all(step in inside for step in _told(run)):
        return False
    return not any(below["kind"] == "tool" for step in _models(run) for below in run.below(step))


def models(runs: Runs) -> bool:
    """Every call of a model names the model."""
    return all(MODEL in str(step.get("metadata", {}).get("model")) for step in _models(_both(runs)[0]))


def tokens(runs: Runs) -> bool:
    """Every call of a model has the tokens that it took."""
    found = [step.get("metadata", {}) for step in _models(_both(runs)[0])]
    return [(each.get("input_tokens"), each.get("output_tokens")) for each in found] == [
        (input_tokens(turn), output_tokens(turn)) for turn in range(len(TURNS) + 1)
    ]


def tool_errors(runs: Runs) -> bool:
    """The tool's two failures are seen as errors, raised or returned; its third call is well."""
    return [step["status"] == "error" or "returned_error" in step for step in _fetches(runs)] == [True] * FAILURES + [False]


def error_codes(runs: Runs) -> bool:
    """They are known as time-outs."""
    return [_timed_out(step) for step in _fetches(runs)] == [True] * FAILURES + [False]


def success(runs: Runs) -> bool:
    """The run that ended well is a success."""
    run = _both(runs)[0]
    return run.end.get("status") == "success" and all(each.get("status", "ok") == "ok" for each in _executions(run))


def failure(runs: Runs) -> bool:
    """The run whose model was refused is a failure, by that call of the model."""
    run = _both(runs)[1]
    refused = [step for step in _models(run) if step["status"] == "error"]
    executions = _executions(run)
    ended = (
        run.end.get("status") == "failure" if run.start in executions or not executions else executions[0]["status"] == "error"
    )
    return ended and bool(refused)


CHECKS: Final[Mapping[str, Callable[[Runs], bool]]] = {
    check.__name__: check
    for check in (
        agent,
        version,
        kinds,
        tools,
        order,
        parallel,
        nesting,
        models,
        tokens,
        tool_errors,
        error_codes,
        success,
        failure,
    )
}


def answers(runs: Runs) -> Mapping[str, bool]:
    """By check. A recording in which the two runs cannot be told apart fails all of them."""
    return {name: len(_both(runs)) == 2 and check(runs) for name, check in CHECKS.items()}


def _both(runs: Runs) -> Runs:
    """The runs in which models were called: the others are what a framework does beside them."""
    return [run for run in runs if _models(run)]


def _executions(run: Run) -> list[Json]:
    """Where the agent ran: the run itself, or steps of it."""
    steps = [step for step in run.steps if step.get("agent", {}).get("name") == AGENT]
    return [run.start] if run.start.get("by", "").split(" ")[0] == AGENT else steps


def _models(run: Run) -> list[Json]:
    return [step for step in run.steps if step["kind"] in _MODELS]


def _tools(run: Run) -> list[Json]:
    return [step for step in run.steps if step["kind"] == "tool"]


def _told(run: Run) -> list[Json]:
    return [step for step in run.steps if step["kind"] in _MODELS | {"tool"}]


def _called(step: Json) -> str:
    """The tool's name without what a framework puts before it, as Semantic Kernel its plugin's."""
    return next((name for name in _CALLED if step["name"].endswith(f"-{name}")), step["name"])


def _fetches(runs: Runs) -> list[Json]:
    return [step for step in _tools(_both(runs)[0]) if _called(step) == FETCH]


def _timed_out(step: Json) -> bool:
    raised, returned = step.get("evidence") or {}, step.get("returned_error") or {}
    said = {raised.get("error_class"), raised.get("error_code"), returned.get("code"), returned.get("error_class")}
    return bool(said & {"timeout", "TimeoutError"})
