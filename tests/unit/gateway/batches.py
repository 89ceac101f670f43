"""What requests of these tests are made of."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx

Gateway = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
Records = Callable[[], list[dict[str, Any]]]

RUN = "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa0"
OTHER_RUN = "019bbfa2-7c1e-7d3a-9f00-5b6c7d8e9fa1"
NOW_US = 1_768_469_400_000_000
PRODUCER = {"id": "p1", "agent": "support-agent", "agent_version": "1"}


def started(run_id: str = RUN, **members: object) -> dict[str, object]:
    return {"type": "run_started", "run_id": run_id, "seq": 0, "started_at": NOW_US, **members}


def step(run_id: str = RUN, **members: object) -> dict[str, object]:
    event = {"type": "step_finished", "run_id": run_id, "seq": 1, "step_id": "b7ad6b7169203331", "kind": "tool"}
    return {**event, "name": "refund-api", "started_at": NOW_US, "duration_us": 5, "status": "ok", **members}


def batch(*events: object, **members: object) -> dict[str, Any]:
    return {"v": "1.0", "producer": PRODUCER, "events": list(events), **members}


def body(*events: object) -> bytes:
    return json.dumps(batch(*events)).encode()


def failed(run_id: str = RUN, **members: object) -> dict[str, object]:
    event = {"type": "failure_recorded", "run_id": run_id, "seq": 2, "failure_id": "b7ad6b7169203331", "occurred_at": NOW_US}
    return {**event, "failure_type": "tool", "failure_code": "timeout", **members}


def finished(run_id: str = RUN, **members: object) -> dict[str, object]:
    return {"type": "run_finished", "run_id": run_id, "seq": 3, "ended_at": NOW_US, "status": "success", "emitted": 4, **members}
