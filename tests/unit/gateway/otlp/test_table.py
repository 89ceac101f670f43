"""The mapping, row by row: each attribute alone on a span, with a value that fits and one that does not."""

import json
from collections import Counter
from typing import Any

import pytest

from agenttracer.wire import form
from agenttracer.wire.vocabulary import INVALID_NAME, StepKind
from producer_gateway.otlp import kind, table
from producer_gateway.otlp.decode_json import decode
from producer_gateway.otlp.step import Step, read
from tests.unit.gateway.otlp import spans as make
from tests.unit.gateway.otlp.spans import CHILD, ROOT

METADATA = [(target, name) for target, _, names in table.TABLE for name in names if target[0] != "@"]
FITS: dict[str, tuple[object, object]] = {
    "http_status": (429, 429),
    "provider": ("openai", "openai"),
    "model": ("gemini-2@001", "gemini-2:001"),
    "finish_reason": (["stop", "length"], "length"),
    "temperature": (0.5, 0.5),
    "top_p": (1, 1),
    "streamed": (True, True),
    "time_to_first_chunk_s": (0.25, 0.25),
    "tool_type": ("function", "function"),
}
MISFITS = ("free text", "", "x" * 65, -1, 2**63, 1e400, [], ["free text"], {"a": 1}, b"bytes")


def step(said: dict[str, object], /, **members: Any) -> tuple[Step, Counter[str]]:
    decoded = decode(make.as_json(make.span(CHILD, ROOT, said=said, **members)), spans_max=1)
    dropped: Counter[str] = Counter()
    return read(decoded.parts[0].spans[0], dropped), dropped


@pytest.mark.parametrize(("target", "name"), METADATA)
def test_metadata(target: str, name: str) -> None:
    """A value that fits stands under the row's key; one that does not is left out and counted."""
    sent, stored = FITS.get(target, (7, 7))
    assert step({name: sent})[0].metadata == {target: stored}
    for misfit in MISFITS:
        found, dropped = step({name: misfit})
        assert (found.metadata, dropped) == ({}, {"metadata_value": 1}), misfit


@pytest.mark.parametrize(("target", "names"), [(target, names) for target, _, names in table.TABLE if len(names) > 1])
def test_preference(target: str, names: tuple[str, ...]) -> None:
    """Of several attributes for one target the first of the row counts, in whatever order they come."""
    said = {name: table.ROWS[name].rank for name in names}
    fit = {name: table.Row(target, rank, lambda value: value) for name, rank in said.items()}  # type: ignore[arg-type,return-value]  # ints
    from producer_gateway.otlp.step import place

    assert place(said, fit, Counter()) == place(dict(reversed(said.items())), fit, Counter()) == {target: 0}


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("gen_ai.operation.name", kind.OPERATIONS),
        ("openinference.span.kind", kind.OPENINFERENCE),
        ("traceloop.span.kind", kind.TRACELOOP),
        ("llm.request.type", kind.REQUEST_TYPES),
        ("db.system", kind.PROTOCOLS),
    ],
)
def test_kinds(attribute: str, words: dict[str, kind.Known]) -> None:
    """Every known word of a convention gives its kind and names the step; an unknown one gives neither and is counted."""
    for said, known in words.items():
        found, _ = step({attribute: said})
        assert (found.kind, found.name) == known
    found, dropped = step({attribute: "canary"})
    assert (found.kind, found.name, dropped) == (StepKind.OTHER, "span", {"metadata_value": 1})


def test_a_model_that_calls_tools_plans() -> None:
    """A model call that ends in a tool call decided what to do next."""
    found, _ = step({"gen_ai.operation.name": "chat", "gen_ai.response.finish_reasons": ["tool_calls"]})
    assert found.kind is StepKind.PLAN


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("chat gpt-4o", kind.OPERATIONS["chat"]),
        ("execute_tool search", kind.OPERATIONS["execute_tool"]),
        ("openai.chat", kind.REQUEST_TYPES["chat"]),
        ("search.tool", kind.TRACELOOP["tool"]),
        ("what is the weather", kind.UNKNOWN),
        ("canary", kind.UNKNOWN),
        ("chat " * 100, kind.UNKNOWN),
    ],
)
def test_span_names(name: str, known: kind.Known) -> None:
    """Without attributes a known form of span name gives the kind; the name itself goes no further."""
    found, _ = step({}, name=name)
    assert (found.kind, found.name) == known


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund-api"}, "refund-api"),
        ({"openinference.span.kind": "TOOL", "tool.name": "refund-api"}, "refund-api"),
        ({"traceloop.span.kind": "tool", "traceloop.entity.name": "refund_api"}, "refund_api"),
        ({"openinference.span.kind": "TOOL", "tool.name": "refund api"}, INVALID_NAME),
        ({"openinference.span.kind": "TOOL", "tool.name": 7}, INVALID_NAME),
        ({"openinference.span.kind": "TOOL"}, "tool"),
        ({"openinference.span.kind": "AGENT", "agent.name": "Refund Agent"}, "Refund-Agent"),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "(" * 9}, INVALID_NAME),
        ({"traceloop.span.kind": "task", "traceloop.entity.name": "two words"}, "task"),
        ({"gen_ai.operation.name": "chat", "gen_ai.agent.name": "refund"}, "chat"),
    ],
)
def test_step_names(said: dict[str, object], name: str) -> None:
    """A tool is named as it is or not at all, an agent with hyphens, everything else by a word of ours."""
    assert step(said)[0].name == name


@pytest.mark.parametrize(
    ("said", "exception_type", "evidence"),
    [
        ({}, None, None),
        ({}, "ReadTimeout", ("ReadTimeout", None, None)),
        ({}, "not a class name", None),
        ({}, "__main__.Agent.run.<locals>.Refused", ("Agent.run.Refused", None, None)),
        ({}, "_private.Refused", ("private.Refused", None, None)),
        ({}, "x" * 300, None),
        ({"error.type": "openai.RateLimitError"}, None, ("openai.RateLimitError", None, None)),
        ({"error.type": "rate_limit_exceeded"}, "APIError", ("APIError", "rate_limit_exceeded", None)),
        ({"error.type": "429"}, None, (None, None, 429)),
        ({"error.type": "_OTHER"}, None, None),
        ({"http.response.status_code": 503}, "HTTPError", ("HTTPError", None, 503)),
        ({"http.status_code": 404, "error.type": "404"}, None, (None, None, 404)),
        ({"db.response.status_code": "40P01"}, "DeadlockDetected", ("DeadlockDetected", "40P01", None)),
    ],
)
def test_evidence(said: dict[str, object], exception_type: str | None, evidence: tuple[object, ...] | None) -> None:
    """The exception's class, the code and the status of a failed span are evidence; no message is."""
    found, _ = step(said, **make.failed(exception_type))
    known = found.evidence
    assert (None if known is None else (known.error_class, known.error_code, known.http_status)) == evidence
    assert found.failed


@pytest.mark.parametrize(
    ("said", "dropped"), [("what they said", {"metadata_value": 1}), (7, {"metadata_value": 1}), ("_OTHER", {}), ("429", {})]
)
def test_an_error_type_that_is_none(said: object, dropped: dict[str, int]) -> None:
    """It is left out and counted, of spans that failed and of others; OpenTelemetry's own word for `unknown` is no loss."""
    for members in (make.failed(), {}):
        assert step({"error.type": said}, **members)[1] == dropped


def test_a_handled_exception_is_no_error() -> None:
    """An exception event on a span that did not end in an error says nothing."""
    found, _ = step({"error.type": "x"}, events=make.failed("ValueError")["events"])
    assert (found.failed, found.evidence) == (False, None)


def test_documents_are_counted_by_their_keys() -> None:
    """OpenInference numbers what was found in attribute names; only the highest number is looked at."""
    said = {f"retrieval.documents.{n}.document.content": "free text" for n in range(3)}
    assert step({"openinference.span.kind": "RETRIEVER", **said})[0].metadata == {"result_count": 3}


@pytest.mark.parametrize(
    ("start", "end", "expected", "dropped"),
    [(1_999, 3_000, 2, {}), (5_000, 4_000, 0, {"range": 1}), (5_000, -make.START_NS, 0, {"range": 1})],
)
def test_times(start: int, end: int, expected: int, dropped: dict[str, int]) -> None:
    """Nanoseconds are cut to microseconds; an end before the start, or none, leaves a duration of 0 and is counted."""
    base = 1_768_469_400_000_000_000
    found, counted = step({}, startTimeUnixNano=str(base + start), endTimeUnixNano=str(base + end))
    assert (found.started_at, found.duration_us, counted) == ((base + start) // 1_000, expected, dropped)


def test_resends_are_attempts() -> None:
    """The second sending of a request is the second attempt."""
    assert step({"http.request.resend_count": 1})[0].attempt == 2


def test_our_own_words_fit_the_contract() -> None:
    """Whatever the tables can put into an event has the contract's form."""
    words = [kind.UNKNOWN.word, *(known.word for row in (*kind._SIGNALS, ("", kind.PROTOCOLS)) for known in row[1].values())]
    assert all(form.is_name(word) for word in words)
    assert all(form.is_metadata_key(target) and not form.names_content(target) for target, _ in METADATA)


def test_json_and_table_speak_of_the_same_values() -> None:
    """A JSON number where OTLP has a string, or the other way round, is the same value."""
    body = json.loads(make.as_json(make.span(said={"gen_ai.usage.input_tokens": 7})))
    body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"][0]["value"] = {"intValue": 7}
    assert decode(json.dumps(body).encode(), spans_max=1).parts[0].spans[0].said == {"gen_ai.usage.input_tokens": 7}


def test_what_stands_for_documents_does_not_confuse_their_count() -> None:
    """An attribute with the name that stands for the numbered ones changes nothing beside them, whatever it holds."""
    said = {table.DOCUMENTS: "free text", f"{table.DOCUMENTS}.1.document.id": "x"}
    assert step(said)[0].metadata == step(dict(reversed(said.items())))[0].metadata == {"result_count": 2}
