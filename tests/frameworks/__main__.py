"""Runs the real frameworks' agents and holds what they export against the committed recordings: `make frameworks`.

Each in an environment of its own under build/frameworks, made of its pinned requirements; nothing but loopback is reached.
"""

import argparse
import difflib
import json
import os
import shutil
import subprocess
import sys
from typing import Final

from tests.frameworks.child.scenario import SERVICE, VERSION
from tests.frameworks.expectation import FOLDER, converted, names, read_recording, runs_of, written
from tests.frameworks.recording import Json, recorded
from tests.frameworks.server import serving

BUILD: Final = FOLDER.parents[1] / "build" / "frameworks"
_AGENT_LIMIT_S: Final = 300
_SHOWN_LINES: Final = 60
_OPTIONS: Final = {
    "CREWAI_TRACING_ENABLED": "false",
    "HAYSTACK_TELEMETRY_ENABLED": "false",
    "ANONYMIZED_TELEMETRY": "false",
    "DO_NOT_TRACK": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "true",
    "PYTHONWARNINGS": "ignore",
}
"""Of frameworks: nothing is sent home, nothing asked for."""


def main() -> int:
    """The number of frameworks that send something else than was recorded."""
    parser = argparse.ArgumentParser(prog="python -m tests.frameworks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="only these frameworks")
    parser.add_argument("--write", action="store_true", help="write recordings and expectations anew; read the difference")
    asked = parser.parse_args()
    differing = 0
    for name in asked.names or names():
        found = recorded(_exported(name))
        if asked.write:
            write(name, found)
        same = found == read_recording(name)
        differing += not same
        print(f"{name}: {'the same' if same else 'differs'}", flush=True)
        if not same:
            _show_difference(found, read_recording(name))
    return differing


def write(name: str, recording: Json) -> None:
    """Recording and expectation of a framework."""
    (FOLDER / name / "recording.json").write_text(_text(recording), encoding="utf-8")
    (FOLDER / name / "expected.json").write_text(written(runs_of(converted(recording))), encoding="utf-8")


def _exported(name: str) -> list[bytes]:
    """The OTLP requests of a framework's agent."""
    command = _node(name) if (FOLDER / name / "package.json").exists() else _python(name)
    with serving() as server:
        here = f"http://127.0.0.1:{server.server_port}"
        environment = {
            **{key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ},
            **_OPTIONS,
            "HOME": str(BUILD / "home"),
            "PYTHONPATH": str(FOLDER / "child"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": here,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_RESOURCE_ATTRIBUTES": f"service.name={SERVICE},service.version={VERSION}",
            "OPENAI_BASE_URL": f"{here}/v1",
            "OPENAI_API_BASE": f"{here}/v1",
            "OPENAI_API_KEY": "none",
            "ANTHROPIC_BASE_URL": here,
            "ANTHROPIC_API_KEY": "none",
        }
        done = subprocess.run(
            command, cwd=BUILD, env=environment, timeout=_AGENT_LIMIT_S, capture_output=True, text=True, check=False
        )
        log = BUILD / f"{name}.log"
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
        if done.returncode:
            sys.exit(f"{name} failed, see {log}:\n{done.stderr[-2_000:]}")
        (BUILD / f"{name}.otlp").write_bytes(b"".join(server.bodies))  # requests one after the other are one, to protobuf
        return server.bodies


def _python(name: str) -> list[str]:
    """An environment with the framework; made anew when its requirements changed."""
    environment, requirements = BUILD / name, FOLDER / name / "requirements.txt"
    stamp, wanted = environment / "made-of", requirements.read_text(encoding="utf-8")
    interpreter = str(environment / "bin" / "python")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        (BUILD / "home").mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], check=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(requirements)], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return [interpreter, str(FOLDER / name / "agent.py")]


def _node(name: str) -> list[str]:
    """As `_python`, by npm's lock."""
    environment = BUILD / name
    environment.mkdir(parents=True, exist_ok=True)
    for each in ("package.json", "package-lock.json", "agent.mjs"):
        shutil.copy(FOLDER / name / each, environment)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=environment, check=True, stdout=subprocess.DEVNULL)
    return ["node", str(environment / "agent.mjs")]


def _text(recording: Json) -> str:
    return json.dumps(recording, indent=1, ensure_ascii=False) + "\n"


def _show_difference(found: Json, committed: Json) -> None:
    lines = difflib.unified_diff(_text(committed).splitlines(), _text(found).splitlines(), "recorded", "sent", lineterm="", n=2)
    for line, _ in zip(lines, range(_SHOWN_LINES), strict=False):
        print(line)


if __name__ == "__main__":
    sys.exit(main())
