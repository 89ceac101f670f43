"""Makes the goldens anew with the real exporters and says how they differ in what matters: `make goldens`.

Everything goes to build/goldens, the environments of the exporters too; what is committed stays as it is, since ids, times and
stack traces are others each time. Compared is what the gateway makes of both, with ids by order of appearance and without times.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.unit.gateway.otlp.test_golden import FILES, records

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[3]
BUILD: Final = ROOT / "build" / "goldens"
_TIMES: Final = frozenset({"started_at", "ended_at", "duration_us", "received_at"})
_IDS: Final = frozenset({"run_id", "step_id", "parent_step_id", "cause_step_id"})


def main() -> int:
    """The number of goldens that differ."""
    argparse.ArgumentParser(prog="python -m tests.golden.otlp.make", description=__doc__).parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    python, node = _python(), _node()
    differing = 0
    for committed in FILES:
        name, made = committed.name.partition(".")[0], BUILD / committed.name
        command = [*python, name] if committed.suffix == ".pb" else node
        subprocess.run([*command, str(made)], check=True)
        same = _shape(records(made)) == _shape(records(committed))
        differing += not same
        print(f"{committed.name}: {'the same' if same else f'differs, see {made}'}")
    return differing


def _python() -> list[str]:
    """An environment with the instrumentations, which the project's own has not."""
    environment = BUILD / "python"
    if not environment.exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    interpreter = str(environment / "bin" / "python")
    requirements = str(ROOT / "requirements" / "golden.txt")
    subprocess.run([interpreter, "-m", "pip", "install", "--quiet", "--no-deps", "-r", requirements], check=True)
    return [interpreter, str(HERE / "exports.py")]


def _node() -> list[str]:
    folder = BUILD / "javascript"
    folder.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json", "javascript.mjs"):
        shutil.copy(HERE / name, folder)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return ["node", str(folder / "javascript.mjs")]


def _shape(found: list[dict[str, Any]]) -> str:
    """Records without times, and with small numbers for ids."""
    numbers: dict[str, int] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return dict(members(value))
        return [plain(each) for each in value] if isinstance(value, list) else value

    def members(of: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        for key, value in of.items():
            if key in _IDS:
                yield key, numbers.setdefault(value, len(numbers))
            elif key not in _TIMES:
                yield key, plain(value)

    return json.dumps(plain(found), sort_keys=True)


if __name__ == "__main__":
    sys.exit(main())
