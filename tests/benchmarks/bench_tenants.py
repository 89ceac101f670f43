"""What a polite tenant feels beside a hostile one: its ingest, the freshness of its runs, and its reads.

`make bench-tenants`. Writes build/bench-tenants.json. The polite tenant is measured alone, beside a second polite one (the
control), and beside each mischief of `tenants_hostile`. Beside any of them its p99 may be three times its quiet value, or a
second, whichever is more. The gateway has its default limits.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx

from agenttracer_cli.admin.api_keys import Purpose
from producer_gateway.settings import GatewaySettings
from servicekit.auth.keys import Scope
from tests.benchmarks import tenants_hostile, verdict
from tests.support.pipeline import Pipeline
from tests.support.stacks import new_stack, until

OUTPUT: Final = Path(__file__).parents[2] / "build" / "bench-tenants.json"
FACTOR: Final = 3.0
FLOOR_S: Final = 1.0
FIGURES: Final = ("ingest_s", "freshness_s", "read_s")
_EVERY_S: Final = 0.2
_ASK_EVERY_S: Final = 0.05
_LOST_AFTER_S: Final = 60.0
_EVENTS: Final = 10
_KEYS_KNOWN_S: Final = 30.0


@dataclass
class Felt:
    """Seconds that each kind of request took. What has no answer in a minute counts as one, and so does a kind without any."""

    ingest_s: list[float] = field(default_factory=list)
    freshness_s: list[float] = field(default_factory=list)
    read_s: list[float] = field(default_factory=list)

    def p99(self) -> dict[str, float]:
        """Of each kind; the largest of few."""
        return {name: _p99(getattr(self, name)) for name in FIGURES}


@dataclass(frozen=True)
class Tenant:
    """A project with keys, and where it sends and reads."""

    gateway: str
    query: str
    ingest_key: str
    read_key: str


def _p99(values: list[float]) -> float:
    # Inclusive: of few values the other method answers more than the largest one.
    return statistics.quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else max(values, default=_LOST_AFTER_S)


def _status(request: Callable[[], httpx.Response]) -> int:
    """0 where there is no answer, which is asked again as a refusal is: the time counts."""
    try:
        return request().status_code
    except httpx.TransportError:
        return 0


class Polite:
    """Sends a run of ten events five times a second, waits until it is shown, and reads a list and statistics meanwhile."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self.felt = Felt()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._send, self._read)]
        self._waiting: list[threading.Thread] = []

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def end(self) -> Felt:
        """Stop, wait for what was sent to be shown, and answer what was felt."""
        self._stop.set()
        for thread in (*self._threads, *self._waiting):
            thread.join()
        return self.felt

    def _send(self) -> None:
        with self._client(self._tenant.gateway, self._tenant.ingest_key) as client:
            while not self._stop.wait(_EVERY_S):
                run_id, began = str(uuid.uuid4()), time.monotonic()
                steps = [tenants_hostile.step(run_id, at) for at in range(_EVENTS)]
                headers, body = tenants_hostile.batch(steps, producer="polite")
                post = partial(client.post, "/v1/events", content=body, headers=headers, timeout=30)
                while _status(post) != httpx.codes.ACCEPTED and time.monotonic() - began < _LOST_AFTER_S:
                    time.sleep(_ASK_EVERY_S)  # as an SDK does; the time until it is taken counts
                self.felt.ingest_s.append(time.monotonic() - began)
                watcher = threading.Thread(target=self._watch, args=(run_id, began))
                watcher.start()
                self._waiting.append(watcher)

    def _watch(self, run_id: str, began: float) -> None:
        with self._client(self._tenant.query, self._tenant.read_key) as client:
            while time.monotonic() - began < _LOST_AFTER_S:
                if _status(partial(client.get, f"/v1/runs/{run_id}", timeout=30)) == httpx.codes.OK:
                    break
                time.sleep(_ASK_EVERY_S)
        self.felt.freshness_s.append(time.monotonic() - began)

    def _read(self) -> None:
        with self._client(self._tenant.query, self._tenant.read_key) as client:
            while not self._stop.wait(_EVERY_S):
                for path in ("/v1/runs?limit=50", "/v1/stats"):
                    began = time.monotonic()
                    get = partial(client.get, path, timeout=30)
                    while _status(get) != httpx.codes.OK and time.monotonic() - began < _LOST_AFTER_S:
                        time.sleep(_ASK_EVERY_S)
                    self.felt.read_s.append(time.monotonic() - began)

    @staticmethod
    def _client(url: str, key: str) -> httpx.Client:
        return httpx.Client(base_url=url, headers={"x-api-key": key, "content-type": "application/json"})


def measure(tenant: Tenant, *, seconds: float, beside: Callable[[], Callable[[], None]]) -> dict[str, float]:
    """The polite tenant's p99 while what `beside` starts goes on; it answers how to end it."""
    end, polite = beside(), Polite(tenant)
    polite.start()
    time.sleep(seconds)
    try:
        return polite.end().p99()
    finally:
        end()


def _nothing() -> Callable[[], None]:
    return lambda: None


def _second(tenant: Tenant) -> Callable[[], Callable[[], None]]:
    def start() -> Callable[[], None]:
        other = Polite(tenant)
        other.start()

        def end() -> None:
            other.end()

        return end

    return start


def _mischief(name: str, tenant: Tenant) -> Callable[[], Callable[[], None]]:
    def start() -> Callable[[], None]:
        process = multiprocessing.get_context("spawn").Process(
            target=tenants_hostile.misbehave, args=(name,), kwargs=vars(tenant), daemon=True
        )
        process.start()

        def end() -> None:
            alive = process.is_alive()
            process.kill()
            process.join()
            if not alive:
                raise RuntimeError(f"the mischief {name} ended by itself: nothing stood beside")

        return end

    return start


def judge(found: Mapping[str, Mapping[str, float]]) -> list[verdict.Target]:
    """By what stood beside and by figure."""
    quiet = found["quiet"]
    return [
        verdict.at_most(f"{beside}.{name}", value, max(FACTOR * quiet[name], FLOOR_S))
        for beside, figures in found.items()
        if beside != "quiet"
        for name, value in figures.items()
    ]


def run(pipeline: Pipeline, *, seconds: float, mischiefs: list[str]) -> dict[str, dict[str, float]]:
    """Every phase on a pipeline without services."""
    limits = GatewaySettings.model_fields
    names = ("rate_events_per_s", "rate_bytes_per_s")
    gateway = pipeline.gateway(**{f"AGENTTRACER_GATEWAY_{name.upper()}": str(limits[name].default) for name in names})
    query, _ = pipeline.query(), pipeline.worker()
    polite, second, hostile = (
        _tenant(pipeline, name, gateway=gateway.url, query=query.url) for name in ("polite", "second", "hostile")
    )
    found = {"quiet": measure(polite, seconds=seconds, beside=_nothing)}
    found["second_polite"] = measure(polite, seconds=seconds, beside=_second(second))
    for name in mischiefs:
        print(f"beside {name} …", flush=True)
        found[name] = measure(polite, seconds=seconds, beside=_mischief(name, hostile))
    return found


def _tenant(pipeline: Pipeline, project: str, *, gateway: str, query: str) -> Tenant:
    ingest, read = (
        pipeline.keys.create(Purpose(project=project, scopes=frozenset({scope}), name="bench"), pepper=pipeline.pepper).text
        for scope in (Scope.INGEST, Scope.READ)
    )
    tenant = Tenant(gateway, query, ingest, read)

    def known() -> bool:
        read_status = httpx.get(f"{query}/v1/runs", headers={"x-api-key": read}).status_code
        posted = httpx.post(f"{gateway}/v1/events", json={}, headers={"x-api-key": ingest}).status_code
        return read_status == httpx.codes.OK and posted != httpx.codes.UNAUTHORIZED

    until(known, timeout_s=_KEYS_KNOWN_S, what="the services know the keys", every_s=0.5)
    return tenant


def main() -> int:
    """Measure, judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--only", nargs="*", choices=list(tenants_hostile.MISCHIEF), default=list(tenants_hostile.MISCHIEF))
    told = parser.parse_args()
    stack = new_stack()
    try:
        pipeline = Pipeline(stack)
        try:
            found = run(pipeline, seconds=told.seconds, mischiefs=told.only)
        finally:
            pipeline.close()
    finally:
        stack.stop()
    targets = judge(found)
    code = verdict.exit_code(targets)
    document: dict[str, Any] = {"passed": code == 0, "seconds": told.seconds, "p99": found, "targets": verdict.as_json(targets)}
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(verdict.table(targets))
    return code


if __name__ == "__main__":
    sys.exit(main())
