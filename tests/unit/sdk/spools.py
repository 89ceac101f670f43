"""Programs that spool and die, and what they leave behind."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agenttracer._spool.segment import SUFFIX, Segment

NewProgram = Callable[..., "subprocess.Popen[str]"]

SPOOLING = """
    import sys
    from agenttracer import AgentTracer
    tracer = AgentTracer(agent_id="dying", agent_version="1", flush_interval_s=0.02)
    def one_run(steps=1):
        with tracer.start_run() as run:
            for _ in range(steps):
                with run.step("tool", "lookup"):
                    pass
    def until_spooled(count):
        while tracer.stats().spooled < count:
            tracer.flush(0.05)
"""


IMPATIENT = {"AGENTTRACER_REQUEST_TIMEOUT_S": "0.3", "AGENTTRACER_EXIT_TIMEOUT_S": "0.5"}
"""So that a program is soon over whose gateway never answers. A test whose gateway does answer sets longer times."""


def start(program: str, **environ: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", textwrap.dedent(SPOOLING) + textwrap.dedent(program)]
    return subprocess.Popen(
        command,
        env={**os.environ, **IMPATIENT, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )


def killed_after_its_word(program: str, **environ: str) -> list[str]:
    """Run `program` until it prints a line, kill it there with SIGKILL, and answer the words of that line."""
    process = start(program, **environ)
    assert process.stdout is not None
    words = process.stdout.readline().split()
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors
    return words


def segments(directory: Path) -> list[Path]:
    return sorted((directory / "agenttracer-spool").glob(f"*{SUFFIX}"))


def records(path: Path) -> list[dict[str, Any]]:
    segment = Segment(path, os.open(path, os.O_RDWR))
    try:
        reading = segment.read(0, max_records=10**6, max_bytes=10**9)
    finally:
        segment.close()
    return [json.loads(record) for record in reading.records]
