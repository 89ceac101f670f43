"""What JSON Schema cannot say of a request, and a check of our own: loaded by schemathesis, which makes the requests.

Five rules are beyond a schema, so requests that break none of its words are made to keep them too: a cursor is one that was
given out, `since` is before `until`, a failure's step is one of the document's, a run ends after it began and between 2000 and
2100, and 3.0 is no integer. And protobuf has no JSON Schema at all: such bodies are made here.
"""

from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, GenerationMode, HookContext, Response

from producer_gateway.otlp.mapping import ROWS
from tests.unit.gateway.otlp import spans as make

_OF_ONE_POPULATION = ("by", "failure_code", "step_kind", "step_name", "model")
_STATISTICS = {"/v1/series", "/v1/agents", "/v1/names", "/v1/failures", "/v1/failures/{fingerprint}", "/v1/heatmap", "/v1/usage"}
_STATISTICS |= {"/v1/explain"}
_texts = st.text(max_size=20)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | _texts | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
)
_spans = st.builds(
    make.span,
    st.binary(max_size=9).map(bytes.hex),
    st.binary(max_size=9).map(bytes.hex),
    st.dictionaries(st.sampled_from(sorted(ROWS)) | _texts, _values, max_size=5),
    traceId=st.sampled_from([make.TRACE, "", "00"]),
    name=_texts,
    startTimeUnixNano=st.integers(0, 2**64 - 1).map(str),
    flags=st.integers(0, 2**32 - 1),
)
schemathesis.openapi.media_type(
    "application/x-protobuf", st.lists(_spans, max_size=3).map(lambda spans: make.protobuf(make.request(*spans)))
)


@schemathesis.hook
def before_call(context: HookContext, case: Case, **_: object) -> None:
    """Let a request in by its key alone, and give one that is right by the schema the meaning that it lacks."""
    if case.headers is not None:
        case.headers.pop("Authorization", None)
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if isinstance(case.query, dict):
        case.query.pop("cursor", None)
        _in_order(case.query, statistics=case.path in _STATISTICS, mixed=case.path in {"/v1/series", "/v1/heatmap", "/v1/usage"})
    if isinstance(case.body, dict | list):
        case.body = _whole(case.body)
    if isinstance(case.body, dict) and case.path == "/v1/runs":
        _known_step(case.body)
        _in_our_days(case.body)


@schemathesis.check
def misfits_are_named(context: CheckContext, response: Response, case: Case) -> None:
    """A batch that breaks the schema and is accepted all the same says what it left out or refused."""
    if case.meta is None or case.path != "/v1/events":
        return
    misfits = {part.value for part, made in case.meta.components.items() if made.mode is GenerationMode.NEGATIVE}
    if "body" in misfits and response.status_code == 202:
        answer = response.json()
        assert answer["rejected"] or answer["dropped"], "a misfit vanished without a word"


def _in_order(query: dict[str, Any], *, statistics: bool, mixed: bool) -> None:
    """The year alone is changed, so that every way to write a time is still tried. Leap years, so that no day is lost.

    What is counted over time has two years of days at most, in a zone that there is, and parameters that fit each other.
    """
    for name, year in (("since", "2024"), ("until", "2096")):
        if isinstance(query.get(name), str):
            query[name] = f"{year}{query[name][4:]}"
    for name in ("sort", "metadata_range", "tool"):
        for given in (name, f"a_{name}", f"b_{name}"):
            query.pop(given, None)  # each needs something else of the request
    for given in ("a_since", "a_until", "b_since", "b_until"):
        query.pop(given, None)  # of runs themselves there are seven days
    if not statistics:
        return
    for name in ("since", "until", "bucket", *(_OF_ONE_POPULATION if mixed else ())):
        query.pop(name, None)
    if "zone" in query:
        query["zone"] = "Europe/Berlin"


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _known_step(body: dict[str, Any]) -> None:
    failure = body.get("failure")
    if isinstance(failure, dict) and "step" in failure:
        failure["step"] = 0 if body.get("steps") else None


def _in_our_days(body: dict[str, Any]) -> None:
    """The year alone is changed, so that every way to write a time is still tried. Leap years, so that no day is lost."""
    for owner in (body, *body.get("steps", ())):
        if isinstance(owner.get("started_at"), str):
            owner["started_at"] = f"2024{owner['started_at'][4:]}"
    if isinstance(body.get("ended_at"), str):
        body["ended_at"] = f"2096{body['ended_at'][4:]}"
