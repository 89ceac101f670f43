"""How much of its rate good traffic keeps while 500 slow bodies and 500 half-open connections hang on the same gateway.

`make bench-slow-clients`. Writes build/bench-slow-clients.json. On one process a round is measured without the bad clients, twice
with them, and without them again, so that a machine that grows slower or faster weighs on both alike; what counts is the median
of the rounds' ratios. `saturated` sends as fast as answers come to eight clients; `paced` sends at half of that rate. Below 0.95
in either it fails: exit code 1, `passed` is false.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from tests.support.bad_clients import bad_clients
from tests.support.gateway_process import DEADLINE_S, GatewayProcess, create_topic, gateway_process
from tests.support.stacks import new_stack, until

OUTPUT = Path(__file__).parents[2] / "build" / "bench-slow-clients.json"
SLOW = HALF_OPEN = 500
CROWD = 0.95 * (SLOW + HALF_OPEN)
KEPT_MIN = 0.95
SPREAD_S = 3.0
"""The bad clients come within this time, and are sent away as long after: as many in each second of what is measured."""
WARM_UP_S = 8.0
CONNECTIONS = 8
EVENTS = 50


def request() -> bytes:
    """One run of fifty events, as an SDK would send it, uncompressed."""
    run_id = str(uuid.UUID(int=(1_790_000_000_000 << 80) | (7 << 76) | (2 << 62)))
    step = {
        "type": "step_finished",
        "run_id": run_id,
        "kind": "tool",
        "name": "lookup_order",
        "duration_us": 5_000,
        "status": "ok",
    }
    events = [{**step, "seq": at, "step_id": f"{at + 1:016x}", "started_at": 1_790_000_000_000_000 + at} for at in range(EVENTS)]
    batch = {"v": "1.0", "producer": {"id": "p1", "agent": "support-agent", "agent_version": "1"}, "events": events}
    body = json.dumps(batch, separators=(",", ":")).encode()
    head = f"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def traffic(port: int, *, seconds: float, pause_s: float = 0.0) -> int:
    """Good requests answered with 202 in that time. Raises AssertionError on any other answer."""
    sent, ends_at, data = 0, time.monotonic() + seconds, request()

    async def client(delay_s: float) -> None:
        nonlocal sent
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        due = time.monotonic() + delay_s
        while time.monotonic() < ends_at:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += pause_s
            writer.write(data)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 202"), head[:12]
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
            sent += 1
        writer.close()

    await asyncio.gather(*(client(at * pause_s / CONNECTIONS) for at in range(CONNECTIONS)))
    return sent


def measure(gateway: GatewayProcess, *, seconds: float, pause_s: float) -> dict[str, float]:
    """Rate of good requests, and the gateway's processor time a good request."""
    cpu, began = gateway.cpu_s(), time.monotonic()
    sent = asyncio.run(traffic(gateway.port, seconds=seconds, pause_s=pause_s))
    return {"rate": sent / (time.monotonic() - began), "cpu_us": 1e6 * (gateway.cpu_s() - cpu) / sent}


def _connections(gateway: GatewayProcess) -> float:
    return gateway.sample("agenttracer_gateway_connections")


def rounds(gateway: GatewayProcess, *, count: int, seconds: float, pause_s: float) -> dict[str, Any]:
    """Rounds of a measurement without bad clients, two with them, and one without."""
    found = []
    for number in range(count):
        before = measure(gateway, seconds=seconds, pause_s=pause_s)
        with bad_clients(gateway.port, slow=SLOW, half_open=HALF_OPEN, spread_s=SPREAD_S):
            until(lambda: _connections(gateway) >= CROWD, timeout_s=DEADLINE_S, what="a crowd")
            beside = [measure(gateway, seconds=seconds, pause_s=pause_s) for _ in range(2)]
        until(lambda: _connections(gateway) < 10, timeout_s=DEADLINE_S, what="calm")
        without = _mean([before, measure(gateway, seconds=seconds, pause_s=pause_s)])
        found.append({"without": without, "with": _mean(beside)})
        print(
            f"round {number + 1} of {count}: {without['rate']:.0f} requests/s without, {found[-1]['with']['rate']:.0f} with",
            flush=True,
        )
    return {
        "ratio": statistics.median(each["with"]["rate"] / each["without"]["rate"] for each in found),
        **_medians(found),
        "rounds": found,
    }


def _mean(measured: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.fmean(each[name] for each in measured) for name in measured[0]}


def _medians(found: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    def of(figure: str) -> dict[str, float]:
        return {name: statistics.median(each[name][figure] for each in found) for name in ("without", "with")}

    return {"rates": of("rate"), "cpu_us_per_request": of("cpu_us")}


def judge(saturated: dict[str, Any], paced: dict[str, Any]) -> bool:
    """Whether good traffic keeps its rate, at its fastest and at half of that."""
    return all(kind["ratio"] >= KEPT_MIN for kind in (saturated, paced))


def table(**kinds: dict[str, Any]) -> str:
    """What was found, for people."""
    lines = [f"{'requests/s':12}{'without':>10}{'with':>10}{'kept':>8}"]
    lines += [
        f"{name:12}{kind['rates']['without']:10.0f}{kind['rates']['with']:10.0f}{kind['ratio']:8.3f}"
        for name, kind in kinds.items()
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure, judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0)
    told = parser.parse_args()
    stack = new_stack()
    try:
        topic = create_topic(stack.bootstrap)
        with tempfile.TemporaryDirectory() as folder, gateway_process(Path(folder), stack.bootstrap, topic=topic) as gateway:
            asyncio.run(traffic(gateway.port, seconds=WARM_UP_S))
            saturated = rounds(gateway, count=told.rounds, seconds=told.seconds, pause_s=0.0)
            pause_s = 2 * CONNECTIONS / saturated["rates"]["without"]
            paced = rounds(gateway, count=max(1, told.rounds // 3), seconds=told.seconds, pause_s=pause_s)
            memory = gateway.memory_bytes("VmHWM")
    finally:
        stack.stop()
    passed = judge(saturated, paced)
    figures = {"passed": passed, "kept_min": KEPT_MIN, "slow": SLOW, "half_open": HALF_OPEN, "memory_max_bytes": memory}
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps({**figures, "saturated": saturated, "paced": paced}, indent=1) + "\n", encoding="utf-8")
    print(table(saturated=saturated, paced=paced))
    print(f"{'passed' if passed else 'failed'}: at least {KEPT_MIN} must be kept ({OUTPUT})")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
