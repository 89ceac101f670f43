"""A week of runs of three agents, posted as documents: enough to see trends, versions and what got worse.

The same for the same day: drawn from a fixed seed, and each run's id is made of its number, so that to send the week again adds
nothing. Two stories are in it. `orders-agent` 2.4.0 asks the refund service twice as often as it can stand, and `reader-agent`
reads ever more pages.
"""

import http.client
import json
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from agenttracer_cli.demo.errors import WeekError

RUNS: Final = 1_400
DAYS: Final = 7
_SENDERS: Final = 4
_TIMEOUT_S: Final = 30.0
_NAMESPACE: Final = uuid.UUID("019ab0de-7c1e-7000-8000-0242ac120002")
Document = dict[str, Any]


def send_week(gateway_url: str, *, key_file: Path, report: Callable[[str], None], runs: int = RUNS) -> int:
    """Post the week that ended a moment ago, and give the number of accepted events. Raises WeekError."""
    now = datetime.now(UTC)
    documents = list(week(now, runs=runs))
    report(f"sending {len(documents):,} runs of the last {DAYS} days")
    host, key = urlsplit(gateway_url).netloc, key_file.read_text().strip()
    parts = [documents[number::_SENDERS] for number in range(_SENDERS)]
    with ThreadPoolExecutor(_SENDERS) as senders:
        return sum(senders.map(lambda part: _post(host, key, part), parts))


def _post(host: str, key: str, documents: Sequence[Document]) -> int:
    accepted = 0
    connection = http.client.HTTPConnection(host, timeout=_TIMEOUT_S)
    headers = {"X-Api-Key": key, "Content-Type": "application/json"}
    try:
        for document in documents:
            connection.request("POST", "/v1/runs", json.dumps(document), headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != http.HTTPStatus.ACCEPTED:
                raise WeekError(f"the gateway answered {answer.status} to a run of the demo's week")
            accepted += json.loads(body)["accepted"]
    except (OSError, http.client.HTTPException) as error:
        raise WeekError(f"the gateway at {host} did not take the demo's week; is it up?") from error
    finally:
        connection.close()
    return accepted


def week(now: datetime, *, runs: int = RUNS) -> Iterator[Document]:
    """The runs of the days up to `now`, evenly over agents and, with quiet nights, over time."""
    chance = random.Random(20)  # noqa: S311 - the same every time
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(runs):
        back = timedelta(days=DAYS) * (1 - number / runs)
        at = now - back - timedelta(minutes=chance.uniform(0, 90))
        if at.hour < 6 and chance.random() < 0.7:  # noqa: PLR2004 - nights are quiet
            at += timedelta(hours=chance.uniform(6, 12))
        at = min(at, now - timedelta(minutes=5))
        make = chance.choices((_support, _research, _triage), (6, 3, 2))[0]
        run = make(chance, day=(now - at) / timedelta(days=1))
        run["run_id"] = str(uuid.uuid5(_NAMESPACE, f"{midnight.date()} {number}"))
        run["started_at"] = at.isoformat()
        yield run


def _step(kind: str, name: str, latency_ms: float, **more: Any) -> Document:  # noqa: ANN401 - members of a step
    return {"kind": kind, "name": name, "latency_ms": round(latency_ms, 3), **more}


def _answer(chance: random.Random, model: str, *, tokens: int) -> Document:
    spent = {"model": model, "input_tokens": tokens, "output_tokens": chance.randint(60, 480)}
    return _step("respond", "compose_answer", chance.lognormvariate(6.8, 0.35), metadata=spent)


def _support(chance: random.Random, *, day: float) -> Document:
    """Answers customers. Its newest version asks the refund service too often."""
    version = "2.4.0" if day < 2.2 else "2.3.1" if day < 5 else "2.3.0"  # noqa: PLR2004 - days ago
    steps = [
        _step("plan", "classify_intent", chance.lognormvariate(5.6, 0.3), metadata={"model": "gpt-4o-mini", "input_tokens": 240}),
        _step("retrieve", "search_kb", chance.lognormvariate(4.4, 0.5), metadata={"documents_found": chance.randint(1, 8)}),
        _step("tool", "lookup_order", chance.lognormvariate(4.9, 0.4), metadata={"rows": 1}),
    ]
    failing = chance.random() < (0.17 if version == "2.4.0" else 0.05)
    if chance.random() < 0.08:  # noqa: PLR2004 - now and then the order service is told to wait
        steps[2:] = [
            _step("tool", "lookup_order", 412.0, error_class="RateLimitError", http_status=429),
            _step("tool", "lookup_order", chance.lognormvariate(5.1, 0.4), attempt=2),
        ]
    if failing:
        late = {"error_class": "ReadTimeout"}
        steps += [_step("tool", "refund_api", 5_000 + chance.random() * 30, attempt=attempt, **late) for attempt in (1, 2)]
        return _run("orders-agent", version, "failure", steps)
    steps.append(_step("tool", "refund_api", chance.lognormvariate(6.1 if version == "2.4.0" else 5.6, 0.5)))
    steps.append(_answer(chance, "gpt-4o", tokens=chance.randint(900, 2_600)))
    return _run("orders-agent", version, "success", steps)


def _research(chance: random.Random, *, day: float) -> Document:
    """Reads pages and sums them up; more pages in its newer version."""
    version = "0.5.0" if day < 3.5 else "0.4.1"  # noqa: PLR2004 - days ago
    pages = chance.randint(4, 14) + (12 if version == "0.5.0" else 0)
    steps = [
        _step("plan", "outline", chance.lognormvariate(6.9, 0.3), metadata={"model": "claude-sonnet-4", "input_tokens": 1_800})
    ]
    for _ in range(pages):
        failed = chance.random() < 0.03  # noqa: PLR2004 - pages go away
        error = {"error_class": "HTTPStatusError", "http_status": 404} if failed else {}
        steps.append(_step("retrieve", "fetch_page", chance.lognormvariate(5.7, 0.6), **error))
    steps.append(_answer(chance, "claude-sonnet-4", tokens=pages * 950))
    if chance.random() < 0.04:  # noqa: PLR2004 - too much to read
        steps[-1] |= {"error_code": "context_length_exceeded", "error_class": "BadRequestError", "http_status": 400}
        return _run("reader-agent", version, "failure", steps)
    return _run("reader-agent", version, "partial" if any("http_status" in step for step in steps) else "success", steps)


def _triage(chance: random.Random, *, day: float) -> Document:
    """Short, quick and mostly right."""
    version = "1.1.0" if day < 4 else "1.0.3"  # noqa: PLR2004 - days ago
    steps = [
        _step("plan", "read_ticket", chance.lognormvariate(4.8, 0.3), metadata={"model": "gpt-4o-mini", "input_tokens": 310}),
        _step("tool", "set_priority", chance.lognormvariate(3.6, 0.4)),
    ]
    if chance.random() < 0.03:  # noqa: PLR2004 - the model does not keep to the form
        steps[1] |= {"error_class": "ValidationError"}
        return _run("triage-agent", version, "failure", steps)
    return _run("triage-agent", version, "success", steps)


def _run(agent: str, version: str, status: str, steps: list[Document]) -> Document:
    return {"agent_id": agent, "agent_version": version, "status": status, "steps": steps}
