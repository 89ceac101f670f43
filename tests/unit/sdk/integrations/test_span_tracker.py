"""The tracker and the import of the integrations."""

import subprocess
import sys
from typing import Any

import pytest

from agenttracer import AgentTracer
from agenttracer.errors import UsageError
from agenttracer.integrations import _span_tracker
from agenttracer.integrations._labels import count, label, only, read, run_id_of
from agenttracer.integrations._span_tracker import SpanTracker, guarded
from agenttracer.integrations._spans import SpanStart
from agenttracer.wire.vocabulary import StepKind
from tests.unit.sdk.integrations.seen import Seen

FRAMEWORKS = ("langchain_core", "langgraph", "agents", "opentelemetry")


def opening(name: str = "thing", kind: StepKind = StepKind.OTHER) -> SpanStart:
    return SpanStart(kind=kind, name=name, metadata={})


def test_importing_the_sdk_imports_no_framework() -> None:
    """Nor does the package of the integrations: only the module that is asked for."""
    code = f"import sys, agenttracer, agenttracer.integrations; print([m for m in {FRAMEWORKS!r} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("module", "framework", "package"),
    [
        ("langchain", "langchain_core", "langchain-core"),
        ("openai_agents", "agents", "openai-agents"),
        ("opentelemetry", "opentelemetry", "opentelemetry-sdk"),
    ],
)
def test_a_missing_framework_is_named_with_its_package(module: str, framework: str, package: str) -> None:
    """The error says what to install."""
    code = f"import sys; sys.modules['{framework}'] = None; import agenttracer.integrations.{module}"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.stderr.splitlines()[-1].startswith("ImportError: agenttracer.integrations.")
    assert f"pip install {package}" in answer.stderr.splitlines()[-1]


def test_what_a_framework_never_ends_is_forgotten_at_a_bound(
    tracer: AgentTracer, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest open span falls out and is counted; its late end changes nothing."""
    monkeypatch.setattr(_span_tracker, "_OPEN_MAX", 10)
    tracker = SpanTracker(tracer, framework="test")
    for number in range(11):
        tracker.start(number, opening())
    assert tracker.find(0) is None
    assert tracer.stats().misuses == 1
    tracker.end(0)
    tracker.end(10)
    assert len(seen.ends) == 1


def test_one_id_starts_once_and_ends_once(tracer: AgentTracer, seen: Seen) -> None:
    """A hook that is called twice, as with a handler that was attached twice, says nothing new."""
    tracker = SpanTracker(tracer, framework="test")
    assert tracker.start("a", opening()) is not None
    assert tracker.start("a", opening()) is None
    tracker.end("a")
    tracker.end("a")
    assert (len(seen.starts), len(seen.ends)) == (1, 1)


def test_a_step_may_end_after_its_parent_and_keeps_its_place(tracer: AgentTracer, seen: Seen) -> None:
    """Nesting is by ids, not by a stack."""
    tracker = SpanTracker(tracer, framework="test")
    tracker.start("root", opening())
    tracker.start("outer", opening("outer"), outer_key="root")
    tracker.start("inner", opening("inner"), outer_key="outer")
    tracker.end("outer")
    tracker.end("inner")
    tracker.end("root")
    assert seen.tree() == ["other:outer", "  other:inner"]


def test_hooks_keep_their_errors_from_the_framework() -> None:
    """A bug of ours is counted; only a strict tracer raises, and only what strict tracers raise."""

    class Integration:
        def __init__(self, tracker: SpanTracker) -> None:
            self.tracker = tracker

        @guarded
        def hook(self, error: Exception) -> None:
            raise error

    lenient = AgentTracer(agent_id="agent", agent_version="1")
    Integration(SpanTracker(lenient, framework="test")).hook(KeyError("x"))
    assert lenient.stats().internal_errors == 1
    strict = AgentTracer(agent_id="agent", agent_version="1", strict=True)
    with pytest.raises(UsageError):
        Integration(SpanTracker(strict, framework="test")).hook(UsageError("x"))
    lenient.shutdown(0)
    strict.shutdown(0)


def test_labels_and_counts_take_nothing_else() -> None:
    """Text, negative or huge numbers, booleans and objects are not there."""
    values: list[Any] = ["two words", "x" * 65, "", b"bytes", ["word"], {"a": 1}, True, -1, 2**63, 1.5, None]
    assert [label(value) for value in values] == [None] * len(values)
    assert [count(value) for value in values] == [None] * len(values)
    assert (label(None, "two words", "word"), count(None, "1", 0)) == ("word", 0)
    assert only(a=None, b=0, c=False) == {"b": 0, "c": False}


def test_reading_survives_what_properties_raise() -> None:
    """Somebody else's object may do anything when it is looked at."""

    class Moody:
        @property
        def value(self) -> int:
            raise RuntimeError

    assert read({"moody": Moody()}, "moody", "value", "more") is None
    assert read({"a": {"b": 1}}, "a", "b") == 1


def test_only_128_bits_of_hex_are_a_run_id() -> None:
    """Anything else gets a new id."""
    assert run_id_of("0" * 31 + "1") == "00000000-0000-0000-0000-000000000001"
    assert [run_id_of(text) for text in ("", "g" * 32, "0" * 31)] == [None] * 3
