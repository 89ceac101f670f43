"""Batches and run documents with canaries wherever the native routes have room for one. Pure.

Names are of a developer's choice, so a word passes there by contract; there a sentence is planted. Anywhere else a word.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from producer_gateway.api.openapi import BATCH_EXAMPLE
from producer_gateway.events.run_document import EXAMPLE
from tests.support.firewall.canaries import Canaries
from tests.support.firewall.sent import Sent, around, gzipped, of_json, torn

EVENTS: Final = "/v1/events"
RUNS: Final = "/v1/runs"
_GOLDEN: Final = Path(__file__).parents[2] / "golden"
_NAMES: Final = {"id", "agent", "agent_version", "agent_id", "sdk", "name", "version", "error_class", "error_code"}
_FREE: Final = {"documents_found", "amount_cents"}
"""Keys of metadata in the examples, where labels pass."""


def requests(sing: Canaries) -> Iterator[Sent]:
    """Of both routes: each member misused in turn, then many at once, compressed, torn, and everything around the body."""
    for url, bases in ((EVENTS, _batches()), (RUNS, [EXAMPLE])):
        for base in bases:
            for body in misused(sing, base):
                yield of_json(url, body)
        yield from around(sing, url, json.dumps(bases[0]).encode())
        crowded = of_json(url, {**bases[0], sing.token(): [{sing.token(): sing.text()}]})
        yield from (gzipped(crowded), torn(crowded), torn(gzipped(crowded)))
    yield of_json(EVENTS, [sing.token(), {sing.token(): sing.token()}])
    yield of_json(EVENTS, {**_batches()[0], "events": [sing.token(), [sing.token()], {"type": sing.token()}]})
    yield of_json(RUNS, {sing.token(): sing.token()})


def _batches() -> list[dict[str, Any]]:
    """A batch for every kind of event, from the golden messages."""
    kinds = [json.loads(path.read_text()) for path in sorted(_GOLDEN.glob("*.json"))]
    return [{**BATCH_EXAMPLE, "events": [event]} for event in kinds if "type" in event] + [BATCH_EXAMPLE]


def misused(sing: Canaries, base: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """`base` with a canary for each of its values in turn, and then in unknown members and metadata of every object."""
    for path in list(_leaves(base)):
        yield _with(base, path, sing.text() if _a_word_passes(path) else sing.token())
        yield _with(base, path, {sing.token(): [sing.token()]})
    for path in list(_objects(base)):
        yield _with(base, (*path, sing.token()), sing.token())
        yield _with(base, (*path, "metadata"), _metadata(sing))


def _metadata(sing: Canaries) -> dict[str, object]:
    nested = {"list": [sing.token()], "map": {sing.token(): sing.token()}, "long": sing.token() * 40, "nul": sing.token() + "\0"}
    content = {key: sing.token() for key in ("prompt", "messages", "tool.arguments", "llm.output.text", "reasoning")}
    return {**nested, **content, sing.token(): 1, sing.text(): True, "label": sing.text(), "number": 3}


def _a_word_passes(path: tuple[Any, ...]) -> bool:
    return path[-1] in _NAMES | _FREE or "metadata" in path


def _leaves(at: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if not isinstance(at, dict | list):
        yield path
        return
    for key, below in at.items() if isinstance(at, dict) else enumerate(at):
        yield from _leaves(below, (*path, key))


def _objects(at: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(at, dict):
        yield path
    if isinstance(at, dict | list):
        for key, below in at.items() if isinstance(at, dict) else enumerate(at):
            yield from _objects(below, (*path, key))


def _with(base: dict[str, Any], path: tuple[Any, ...], value: object) -> dict[str, Any]:
    body = deepcopy(base)
    at: Any = body
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return body
