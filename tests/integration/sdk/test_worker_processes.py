"""Servers that end their processes after each task or request: what the process did is delivered."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.unit.sdk.fake_gateway import FakeGateway

_WITHIN_S = 120


def program(folder: Path, text: str, *, name: str = "program.py") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def environment(gateway: FakeGateway, **more: str) -> dict[str, str]:
    """No flush by itself in the time of the test: what arrives was sent because the process ended."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGENTTRACER_")}
    return {**kept, "AGENTTRACER_API_URL": gateway.url, "AGENTTRACER_FLUSH_INTERVAL_S": "60", **more}


def wait_until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def whole_runs(gateway: FakeGateway) -> int:
    """Runs whose start, step and end have all arrived, each once, and whose end counts them right."""
    seen: dict[str, Counter[str]] = {}
    for event in list(gateway.events):
        seen.setdefault(event["run_id"], Counter())[event["type"]] += 1
    ends = {event["run_id"]: event for event in gateway.of_kind("run_finished")}
    whole = {"run_started": 1, "step_finished": 1, "run_finished": 1}
    return sum(kinds == whole and ends[run_id]["emitted"] == 3 for run_id, kinds in seen.items())


CELERY = """
    import os, sys
    from celery import Celery
    from agenttracer import AgentTracer

    folder = os.environ["CELERY_FOLDER"]
    app = Celery("case", broker="filesystem://")
    app.conf.broker_transport_options = {
        "data_folder_in": folder + "/queue", "data_folder_out": folder + "/queue", "control_folder": folder + "/control",
        "processed_folder": folder + "/processed",
    }
    tracer = AgentTracer(agent_id="celery", agent_version="1")

    @app.task(name="work")
    def work(number):
        with tracer.start_run() as run, run.step("tool", "work"):
            pass

    if __name__ == "__main__" and sys.argv[1] == "send":
        for number in range(int(sys.argv[2])):
            work.delay(number)
    elif __name__ == "__main__":
        app.worker_main(["worker", "-c", "2", "-P", "prefork", "-l", "ERROR", "--hostname", "x@x", *sys.argv[2:]])
"""


@pytest.mark.parametrize(
    ("tasks", "options"), [(30, ["--max-tasks-per-child", "1"]), (20, ["--max-tasks-per-child", "5"]), (10, [])]
)
def test_celery_delivers_every_task_whose_child_is_replaced(
    gateway: FakeGateway, tmp_path: Path, tasks: int, options: list[str]
) -> None:
    """Prefork, the child ends by `os._exit` after one task, after five, or when the worker is told to stop."""
    for folder in ("queue", "control", "processed"):
        (tmp_path / folder).mkdir()
    path = program(tmp_path, CELERY)
    told = environment(gateway, CELERY_FOLDER=str(tmp_path))
    subprocess.run([sys.executable, path, "send", str(tasks)], env=told, check=True, timeout=_WITHIN_S)
    worker = subprocess.Popen([sys.executable, path, "work", *options], env=told, cwd=tmp_path, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: not any((tmp_path / "queue").iterdir()), "the tasks were not all taken")
        wait_until(lambda: whole_runs(gateway) >= tasks - 5 or not options, "the runs did not arrive")
    finally:
        worker.send_signal(signal.SIGTERM)  # warm: children finish their tasks
        _, errors = worker.communicate(timeout=_WITHIN_S)
    assert whole_runs(gateway) == tasks, errors.decode()[-2_000:]
    assert len(gateway.events) == 3 * tasks


GUNICORN = """
    from agenttracer import AgentTracer

    tracer = AgentTracer(agent_id="gunicorn", agent_version="1")

    def app(environ, start_response):
        with tracer.start_run() as run, run.step("tool", "work"):
            start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def ask(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            answer.read()
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize("options", [["--max-requests", "1"], ["--max-requests", "1", "--preload"], []])
def test_gunicorn_delivers_every_request_whose_worker_is_replaced(
    gateway: FakeGateway, tmp_path: Path, options: list[str]
) -> None:
    """A worker ends after one request, or when the server is told to stop; the tracer is made before the fork or after it."""
    program(tmp_path, GUNICORN, name="served.py")
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "-w",
        "2",
        "-b",
        f"127.0.0.1:{port}",
        "--log-level",
        "error",
        *options,
        "served:app",
    ]
    server = subprocess.Popen(command, env=environment(gateway), cwd=tmp_path, stderr=subprocess.PIPE)
    answered = 0
    try:
        deadline = time.monotonic() + _WITHIN_S
        while answered < 12:
            assert time.monotonic() < deadline, "gunicorn did not answer"
            answered += ask(f"http://127.0.0.1:{port}/")
    finally:
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=_WITHIN_S)
    assert whole_runs(gateway) >= answered, errors.decode()[-2_000:]
    assert whole_runs(gateway) * 3 == len(gateway.events)


UVICORN = """
    from agenttracer import AgentTracer
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    tracer = AgentTracer(agent_id="uvicorn", agent_version="1")

    def body():
        with tracer.start_run() as run:
            yield "a"
            with run.step("tool", "work"):
                yield "b"

    async def work(request):
        with tracer.start_run() as run, run.step("tool", "work"):
            return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/", work), Route("/stream", lambda request: StreamingResponse(body()))])
"""


@pytest.mark.parametrize("options", [[], ["--workers", "2"]])
def test_uvicorn_delivers_when_it_is_told_to_stop(gateway: FakeGateway, tmp_path: Path, options: list[str]) -> None:
    """It handles SIGTERM, and then ends by raising it again with the default action, which runs no exit hooks."""
    program(tmp_path, UVICORN, name="served.py")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "error", *options, "served:app"]
    server = subprocess.Popen(command, env=environment(gateway), cwd=tmp_path, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: ask(f"http://127.0.0.1:{port}/stream"), "uvicorn did not answer")
        assert ask(f"http://127.0.0.1:{port}/")
    finally:
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=_WITHIN_S)
    assert whole_runs(gateway) == 2, errors.decode()[-2_000:]
