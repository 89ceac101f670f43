"""Single runs sent through the gateway and looked for in the query API: from the 202 to the first answer that shows them."""

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import httpx

from tests.benchmarks.worker_load import request_body, run_events

STEPS_A_PROBE: Final = 1
EVENTS_A_PROBE: Final = STEPS_A_PROBE + 2
GIVE_UP_S: Final = 60.0
_PATIENCE_S: Final = 3.0  # far above every target: from then on asking all the time would only make it worse
_LATE_POLL_S: Final = 0.25
_HEADERS: Final = {"Content-Type": "application/json", "Content-Encoding": "gzip"}


class Seen(NamedTuple):
    """One probe: seconds from request to 202, and from the 202 to the answer that showed the whole run."""

    accepted_s: float
    visible_s: float


class Prober:
    """Sends a run every `every_s` seconds and asks for it every `poll_s` until it is there."""

    def __init__(self, *, gateway: str, key: str, query: str, every_s: float, poll_s: float) -> None:
        self._gateway, self._query = gateway, query
        self._headers = {**_HEADERS, "Authorization": f"Bearer {key}"}
        self._every_s, self._poll_s = every_s, poll_s

    async def run(self, count: int) -> list[Seen]:
        """So many probes. One that is not visible after a minute counts as a minute."""
        base_us = time.time_ns() // 1000 + 1_000_000_000  # no other load makes ids of this time
        began = time.monotonic()
        async with httpx.AsyncClient(timeout=30) as client, asyncio.TaskGroup() as group:
            tasks = []
            for number in range(count):
                await asyncio.sleep(began + number * self._every_s - time.monotonic())
                tasks.append(group.create_task(self._one(client, number, base_us)))
        return [task.result() for task in tasks]

    async def _one(self, client: httpx.AsyncClient, number: int, base_us: int) -> Seen:
        events = run_events(number, base_us, steps=STEPS_A_PROBE)
        body, began = request_body(events), time.monotonic()
        answer = await client.post(f"{self._gateway}/v1/events", content=body, headers=self._headers)
        accepted = time.monotonic()
        assert answer.status_code == 202, answer.text
        while time.monotonic() < accepted + GIVE_UP_S:
            found = await client.get(f"{self._query}/v1/runs/{events[0].run_id}")
            if found.status_code == 200 and found.json()["status"] == "success":
                break
            late = time.monotonic() > accepted + _PATIENCE_S
            await asyncio.sleep(_LATE_POLL_S if late else self._poll_s)
        return Seen(accepted - began, time.monotonic() - accepted)


def quantiles_ms(seen: Sequence[Seen]) -> dict[str, float]:
    """p50, p99 and the largest, by nearest rank."""
    visible, accepted = sorted(one.visible_s for one in seen), sorted(one.accepted_s for one in seen)
    ranks = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "max_ms": 1.0}
    told = {name: round(1000 * visible[math.ceil(share * len(visible)) - 1], 1) for name, share in ranks.items()}
    return told | {"p50_ms_to_202": round(1000 * accepted[len(accepted) // 2], 1), "probes": len(seen)}
