"""What JSON Schema cannot say of a request, and a check of our own: loaded by schemathesis, which makes the requests.

Four rules are beyond a schema, so requests that break none of its words are made to keep them too: a cursor is one that was
given out, a failure's step is one of the document's, a run ends after it began and between 2000 and 2100, and 3.0 is no integer.
"""

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, GenerationMode, HookContext, Response


@schemathesis.hook
def before_call(context: HookContext, case: Case, **_: object) -> None:
    """Give a request that is right by the schema the meaning that it lacks."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if isinstance(case.query, dict):
        case.query.pop("cursor", None)
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
