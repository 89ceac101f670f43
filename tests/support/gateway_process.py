"""The gateway as a process of its own on real Kafka, for tests and benchmarks of what it takes and bears."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.support import stacks

DEADLINE_S = 30.0


class GatewayProcess:
    """A running gateway and a client of it."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE_S)

    def until_ready(self) -> None:
        stacks.until(lambda: self.client.get("/ready").status_code == 200, timeout_s=DEADLINE_S, what="/ready answers 200")

    def sample(self, line: str) -> float:
        """A metric by its name and labels as Prometheus writes them; 0 when it is not there."""
        lines = self.client.get("/metrics").text.splitlines()
        return next((float(each.rpartition(" ")[2]) for each in lines if each.startswith(f"{line} ")), 0.0)

    def memory_bytes(self, field: str = "VmRSS") -> int:
        """Resident memory; `VmHWM` is the most that there ever was."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))

    def cpu_s(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def gateway_process(
    folder: Path, bootstrap: str, *, topic: str, module: str = "producer_gateway", **settings: object
) -> Iterator[GatewayProcess]:
    """Start one with `settings` on a free port and wait until it is ready; kill it at the end if it still runs."""
    log = folder / f"gateway-{uuid.uuid4().hex[:8]}.log"
    told = {"PORT": "0", "KAFKA_BOOTSTRAP": bootstrap, "TOPIC": topic, "ANONYMOUS_PROJECT": "default"}
    told |= {key.upper(): str(value) for key, value in settings.items()}
    env = os.environ | {f"AGENTTRACER_GATEWAY_{name}": value for name, value in told.items()}
    with log.open("wb") as stderr:
        process = subprocess.Popen([sys.executable, "-m", module], env=env, stderr=stderr)
    try:
        port = stacks.until(lambda: _port(log), timeout_s=DEADLINE_S, what="listening")
        gateway = GatewayProcess(process, port, log)
        with gateway.client:
            gateway.until_ready()
            yield gateway
    finally:
        process.kill()
        process.wait()


def _port(log: Path) -> int | None:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return next((line["port"] for line in lines if line["event"] == "listening"), None)


def create_topic(bootstrap: str, *, partitions: int = 3) -> str:
    """A topic of its own."""
    topic = f"gateway-{uuid.uuid4()}"

    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1)])
        finally:
            await admin.close()

    asyncio.run(create())
    return topic
