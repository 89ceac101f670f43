"""A fleet: hundreds of runs at once, of several agents and versions, with a failure of every kind.

Run `python sdk/examples/fleet.py` while a gateway listens. The same seed gives the same failures. Every failure is a real
exception, or a number that a real agent would report. The store has to classify them itself, except where an agent records one.
"""

import asyncio
import errno
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agenttracer import AgentTracer, Run, Step, current_run

AGENTS = (("support-agent", "1.4.0"), ("support-agent", "1.5.0"), ("research-agent", "0.9.2"), ("billing-agent", "2.1.0"))
TOOLS = ("lookup_order", "issue_refund", "check_stock", "send_email")
TROUBLED = 0.4
"""Share of runs with a failure."""
ROUNDS = 60
"""How often an agent in a loop repeats a step; 51 times or more are classified as a loop."""
RECOVERS = 0.5
"""Share of those runs in which a second attempt succeeds."""


class ProviderError(Exception):
    """Like the errors of the well-known client libraries: its facts are attributes."""

    def __init__(self, status_code: int, code: str | None = None) -> None:
        super().__init__("text that never leaves this process")
        self.status_code = status_code
        self.code = code


class RateLimitError(ProviderError):
    """The provider asks the client to retry later."""

    retry_after = 2


class ValidationError(ValueError):
    """Like pydantic's: the model's answer does not have the form that the agent asked for."""


class MaxTurnsExceeded(Exception):  # noqa: N818 - the name that a framework gave it
    """Like the frameworks' own: the agent used up its turns without an answer."""


async def _times_out(_step: Step) -> None:
    async with asyncio.timeout(0.005):
        await asyncio.sleep(1)


async def _refused(_step: Step) -> None:
    raise ConnectionRefusedError(errno.ECONNREFUSED, "connection refused")


async def _provider(step: Step, *, status: int, code: str | None = None) -> None:
    step.add_metadata({"provider": "stand-in"})
    raise RateLimitError(status, code) if status == 429 else ProviderError(status, code)  # noqa: PLR2004 - HTTP


async def _bad_argument(_step: Step) -> None:
    int("twelve")


async def _bad_json(_step: Step) -> None:
    json.loads("{not json")


async def _bad_schema(_step: Step) -> None:
    raise ValidationError


async def _finds_nothing(step: Step) -> None:
    step.add_metadata({"result_count": 0})


async def _filtered(step: Step) -> None:
    step.add_metadata({"finish_reason": "content_filter", "output_tokens": 0})


async def _cancelled(_step: Step) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)


async def _out_of_turns(_step: Step) -> None:
    raise MaxTurnsExceeded


async def _loops(_step: Step) -> None:
    run = current_run()
    assert run is not None
    for _ in range(ROUNDS):
        async with run.step("tool", "poll_status"):
            await asyncio.sleep(0)


async def _bad_code(_step: Step) -> None:
    compile("total = 737,015 +", "of_the_model", "exec")


async def _cut_off(step: Step) -> None:
    step.add_metadata({"finish_reason": "length"})


async def _says_nothing(step: Step) -> None:
    step.add_metadata({"finish_reason": "stop", "output_tokens": 0})


async def _bug(_step: Step) -> None:
    _ = 1 / 0


@dataclass(frozen=True, slots=True)
class Trouble:
    """A failure: how it happens, in which kind of step, and the failure code that the store should find."""

    code: str
    kind: str
    happen: Callable[[Step], Awaitable[None]]


TROUBLES = (
    Trouble("timeout", "tool", _times_out),
    Trouble("connection", "tool", _refused),
    Trouble("auth", "tool", lambda step: _provider(step, status=401)),
    Trouble("not_found", "tool", lambda step: _provider(step, status=404)),
    Trouble("invalid_input", "tool", _bad_argument),
    Trouble("server_error", "tool", lambda step: _provider(step, status=502)),
    Trouble("timeout", "respond", _times_out),
    Trouble("rate_limited", "respond", lambda step: _provider(step, status=429)),
    Trouble("server_error", "respond", lambda step: _provider(step, status=503)),
    Trouble("content_filtered", "respond", _filtered),
    Trouble("context_overflow", "plan", lambda step: _provider(step, status=400, code="context_length_exceeded")),
    Trouble("schema_invalid", "plan", _bad_json),
    Trouble("schema_invalid", "plan", _bad_schema),
    Trouble("empty_retrieval", "retrieve", _finds_nothing),
    Trouble("connection", "retrieve", _refused),
    Trouble("cancelled", "tool", _cancelled),
    Trouble("conflict", "tool", lambda step: _provider(step, status=409)),
    Trouble("tool_not_found", "tool", lambda step: _provider(step, status=404, code="tool_not_found")),
    Trouble("quota_exceeded", "plan", lambda step: _provider(step, status=429, code="insufficient_quota")),
    Trouble("step_limit_exceeded", "other", _out_of_turns),
    Trouble("loop_suspected", "other", _loops),
    Trouble("time_limit_exceeded", "other", lambda step: _provider(step, status=400, code="time_limit_exceeded")),
    Trouble("token_limit_exceeded", "other", lambda step: _provider(step, status=400, code="token_limit_exceeded")),
    Trouble("cost_limit_exceeded", "other", lambda step: _provider(step, status=400, code="cost_limit_exceeded")),
    Trouble("code_error", "tool", _bad_code),
    Trouble("tool_error", "tool", lambda step: _provider(step, status=200, code="tool_error")),
    Trouble("tool_unavailable", "tool", lambda step: _provider(step, status=400, code="browser_closed")),
    Trouble("guardrail_tripped", "respond", lambda step: _provider(step, status=200, code="guardrail_tripwire")),
    Trouble("handoff_failed", "other", lambda step: _provider(step, status=200, code="multiple_handoffs")),
    Trouble("output_truncated", "respond", _cut_off),
    Trouble("empty_answer", "respond", _says_nothing),
    Trouble("unhandled_exception", "other", _bug),
)
RECORDED = (
    ("model", "wrong_language"),
    ("orchestration", "too_many_turns"),
    ("retrieval", "stale_index"),
    ("tool", "bad_refund"),
)
"""Failures that only the agent's own code can detect."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, planned before it starts, so that the seed alone determines it."""

    trouble: Trouble | None
    recovers: bool
    recorded: tuple[str, str] | None
    dice: random.Random


async def one_run(tracer: AgentTracer, plan: Plan) -> None:
    """Plan, retrieve, a few tools inside an orchestrating step, respond."""
    async with tracer.start_run() as run:
        await attempts(run, "plan", "decide", plan)
        await attempts(run, "retrieve", "search_kb", plan)
        async with run.step("other", "use_tools"):
            for tool in plan.dice.sample(TOOLS, plan.dice.randint(1, 3)):
                await attempts(run, "tool", tool, plan)
            await attempts(run, "other", "merge", plan)
        await attempts(run, "respond", "answer", plan)
        if plan.recorded:
            failure_type, failure_code = plan.recorded
            run.record_failure(failure_type=failure_type, failure_code=failure_code, message="text that stays here")


async def attempts(run: Run, kind: str, name: str, plan: Plan) -> None:
    """One step, with a second attempt if the plan has one."""
    try:
        await attempt(run, kind, name, plan, plan.trouble)
    except Exception:
        if not plan.recovers:
            raise
        await asyncio.sleep(plan.dice.uniform(0.005, 0.02))
        await attempt(run, kind, name, plan, None)


async def attempt(run: Run, kind: str, name: str, plan: Plan, trouble: Trouble | None) -> None:
    """One step that takes some time, reports its numbers, and has its trouble."""
    async with run.step(kind, name) as step:
        await asyncio.sleep(min(plan.dice.lognormvariate(-4.2, 0.8), 0.25))
        if kind == "retrieve":
            step.add_metadata({"result_count": plan.dice.randint(1, 8)})
        else:
            step.add_metadata({"input_tokens": plan.dice.randint(50, 4000), "model": "stand-in-1"})
        if trouble is not None and trouble.kind == kind:
            await trouble.happen(step)


async def stuck_run(tracer: AgentTracer) -> None:
    """A run that never ends: it is started outside any block, and its task stops. The store finds it abandoned."""
    run = tracer.start_run()
    for kind, name in (("plan", "decide"), ("tool", "wait_for_ever")):
        async with run.step(kind, name):
            await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetReport:
    """The fleet's work, to be compared with the stored runs. The stuck run is one of `runs`."""

    runs: int
    events: int
    failure_codes: frozenset[str]


def new_dice(seed: float) -> random.Random:
    """A random generator with a fixed seed."""
    return random.Random(seed)  # noqa: S311 - an example must fail the same way every time


def plans(runs: int, seed: int) -> list[Plan]:
    """Every trouble and recorded failure at least once, if there are enough runs; the rest at random."""
    dice = new_dice(seed)
    decided = [Plan(trouble, recovers=False, recorded=None, dice=new_dice(dice.random())) for trouble in TROUBLES]
    decided += [Plan(None, recovers=False, recorded=recorded, dice=new_dice(dice.random())) for recorded in RECORDED]
    while len(decided) < runs:
        trouble = dice.choice(TROUBLES) if dice.random() < TROUBLED else None
        decided.append(Plan(trouble, dice.random() < RECOVERS, None, new_dice(dice.random())))
    return decided[:runs]


async def main(api_url: str | None = None, *, runs: int = 300, seed: int = 7, concurrency: int = 100) -> FleetReport:
    """Run `runs` runs, at most `concurrency` at a time. One of them never ends."""
    tracers = [AgentTracer(agent_id=agent, agent_version=version, api_url=api_url) for agent, version in AGENTS]
    abandoning = AgentTracer(agent_id="research-agent", agent_version="0.9.2", api_url=api_url, abandon_after_s=5)
    decided = plans(runs - 1, seed)
    turns = asyncio.Semaphore(concurrency)

    async def in_turn(tracer: AgentTracer, plan: Plan) -> None:
        async with turns:
            await one_run(tracer, plan)

    calls = [in_turn(tracers[number % len(tracers)], plan) for number, plan in enumerate(decided)]
    await asyncio.gather(stuck_run(abandoning), *calls, return_exceptions=True)
    everyone = [*tracers, abandoning]
    await asyncio.gather(*(asyncio.to_thread(tracer.shutdown, 10) for tracer in everyone))
    expected = {plan.trouble.code for plan in decided if plan.trouble} | {plan.recorded[1] for plan in decided if plan.recorded}
    return FleetReport(
        runs=runs,
        events=sum(tracer.stats().emitted for tracer in everyone),
        failure_codes=frozenset(expected | {"abandoned"}),
    )


if __name__ == "__main__":
    report = asyncio.run(main())
    print(f"{report.runs} runs, {report.events} events, failures to be found: {', '.join(sorted(report.failure_codes))}")
