"""Evaluates every expression of the alerts and dashboards in a real Prometheus over a pipeline under load and faults.

`make observability-proof`, or `python -m tests.observability.prove`. Exits with 1 if an expression gives nothing: it asks for a
metric or a label that is not there. Rules are asked without their bound, since most must be silent. Needs `prometheus` on the
PATH (Debian's package has it).
"""

import argparse
import re
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from docs.generate import dashboards
from tests.observability.prometheus import RULES, Prometheus, binary, prometheus
from tests.support.bad_clients import bad_clients
from tests.support.pipeline import Pipeline
from tests.support.stacks import new_stack

_BOUND = re.compile(r"\s[<>=]=?\s[\d.]+$")
_DEADLINE_S = 120.0


def main() -> int:
    """Exit code 0 if all give something."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if binary() is None:
        print("prometheus is not on the PATH; Debian's package is called prometheus", file=sys.stderr)
        return 1
    stack = new_stack()
    try:
        empty = _empty_expressions(Pipeline(stack))
    finally:
        stack.stop()
    for expression in empty:
        print(f"gives nothing: {expression}")
    print(f"{len(wanted()) - len(empty)} of {len(wanted())} expressions give something")
    return 1 if empty else 0


def wanted() -> list[str]:
    """Every expression, rules without their bound, and for the project that is sent to."""
    alerts = [yaml.safe_load(file.read_text())["groups"][0]["rules"][0]["expr"] for file in sorted(RULES.glob("*.yml"))]
    sides = [_BOUND.sub("", side.strip()) for alert in alerts for side in alert.split(" or ") if not side.startswith("absent")]
    return [expression.replace("$project", "default") for expression in [*dashboards.expressions(), *sides]]


def _empty_expressions(pipeline: Pipeline) -> list[str]:
    pages, worker, query = 18_100, pipeline.worker(), pipeline.query(AGENTTRACER_QUERY_ANONYMOUS_PROJECT="default")
    gateway = pipeline.gateway(AGENTTRACER_GATEWAY_PAGES_PORT=str(pages), AGENTTRACER_GATEWAY_HEAD_TIMEOUT_S="1")
    jobs = {"agenttracer-gateway": [pages], "agenttracer-worker": [worker.port], "agenttracer-query": [query.port]}
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            prometheus(Path(folder), jobs) as server,
            _load(pipeline, gateway.url, query.url),
        ):
            with bad_clients(gateway.port, slow=2, half_open=2):
                time.sleep(4)
            _faults(pipeline)
            return _waited(server)
    finally:
        pipeline.close()


def _waited(server: Prometheus) -> list[str]:
    """Those that have given nothing until the deadline."""
    left, deadline = wanted(), time.monotonic() + _DEADLINE_S
    while left and time.monotonic() < deadline:
        left = [expression for expression in left if not server.value(expression)]
        time.sleep(1)
    return left


def _faults(pipeline: Pipeline) -> None:
    """What makes the counters that a healthy pipeline does not have: a bad record, a store and a log that are away."""
    pipeline.produce_raw([(b"default:x", b"{")])
    for part in (pipeline.stack.postgres, pipeline.stack.kafka):
        part.stop()
        time.sleep(8)
        part.start()


@contextmanager
def _load(pipeline: Pipeline, gateway: str, query: str) -> Iterator[None]:
    """Good and bad requests, over and over, while the block runs."""
    over = threading.Event()
    sender = threading.Thread(target=_send, args=(pipeline.local_key, gateway, query, over))
    sender.start()
    try:
        yield
    finally:
        over.set()
        sender.join()


def _send(key: str, gateway: str, query: str, over: threading.Event) -> None:
    run = {
        "agent_id": "proof",
        "agent_version": "1",
        "status": "success",
        "steps": [{"name": "a b c d e f", "step_type": "tool", "latency_ms": 3}],
    }
    producer = {"id": "p", "agent": "proof", "agent_version": "1"}
    started = {"type": "run_started", "run_id": str(uuid.uuid4()), "seq": 0, "started_at": time.time_ns() // 1_000}
    batch = {"v": "1.0", "producer": producer, "events": [started, {"type": "no_such"}]}
    headers = {"x-api-key": key}
    with httpx.Client(timeout=10) as client:
        while not over.wait(0.2):
            try:
                client.post(f"{gateway}/v1/runs", json=run, headers=headers)
                client.post(f"{gateway}/v1/events", json=batch, headers=headers)
                client.post(f"{gateway}/v1/runs", json={}, headers=headers)
                client.get(f"{query}/v1/runs")
                client.get(f"{query}/v1/stats")
            except httpx.TransportError:
                continue


if __name__ == "__main__":
    sys.exit(main())
