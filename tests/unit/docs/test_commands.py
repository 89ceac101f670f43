"""Commands, options and variables that the pages name."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel
from pydantic_settings import BaseSettings

from agenttracer._config import Config
from agenttracer_cli.app import app
from agenttracer_cli.local.kafka_access import KafkaAccess
from producer_gateway.settings import GatewaySettings
from query_service.settings import QuerySettings
from stream_workers.settings import WorkerSettings
from tests.unit.docs.pages import PAGES, ROOT, code_lines_of, name_of

_MAKE = re.compile(r"(?:^|[\s(])make ([a-z][a-z-]*)")
_COMMAND = re.compile(r"(?<!from )(?<!import )(?<![\w/@.-])agenttracer(?![\w./-])((?:\s+[^\s#|;&]+)*)")
_WORD = re.compile(r"[a-z][a-z-]*")
_VARIABLE = re.compile(r"\b((?:AGENTTRACER|OTEL)_[A-Z0-9_]*)(…|\.\.\.)?")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
OF_OPENTELEMETRY = {
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_METRICS_EXPORTER",
    "OTEL_LOGS_EXPORTER",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_PYTHON_EXCLUDED_URLS",
    "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
}
"""Of OpenTelemetry's specification and of its SDK for Python."""
READ_BY_THE_LOCAL_STACK = {"AGENTTRACER_KEY_PEPPER", "AGENTTRACER_JAVA", "AGENTTRACER_CACHE_DIR", "AGENTTRACER_START_LIMIT_S"}
"""Variables of the command that are no option's."""


def variables_of(settings: type[BaseSettings]) -> Iterator[str]:
    prefix = settings.model_config.get("env_prefix", "")
    for name, field in settings.model_fields.items():
        yield f"{prefix}{name.upper()}"
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            yield from (f"{prefix}{name.upper()}__{part.upper()}" for part in type(default).model_fields)


def subcommands_of(command: Any) -> Mapping[str, Any]:
    """Of a group by name; of anything else none. Typer brings a click of its own, so no class is asked for."""
    found: Mapping[str, Any] = getattr(command, "commands", {})
    return found


def commands(group: Any) -> Iterator[Any]:
    yield group
    for command in subcommands_of(group).values():
        yield from commands(command)


ROOT_COMMAND = typer.main.get_command(app)
KNOWN_VARIABLES = {
    *(name for each in (GatewaySettings, WorkerSettings, QuerySettings, KafkaAccess) for name in variables_of(each)),
    *(f"AGENTTRACER_{name.upper()}" for name in Config.__dataclass_fields__),
    *(str(option.envvar) for each in commands(ROOT_COMMAND) for option in each.params if option.envvar),
    *OF_OPENTELEMETRY,
    *READ_BY_THE_LOCAL_STACK,
}


def unknown_parts(arguments: str) -> list[str]:
    """Subcommands and options behind `agenttracer` that the command does not have."""
    command, found = ROOT_COMMAND, []
    for word in _words(arguments):
        if word.startswith("--"):
            name = word.partition("=")[0].rstrip("`,;:).")
            found += [] if any(name in each for each in _options(command)) else [name]
        elif subcommands_of(command) and _WORD.fullmatch(word):
            if word not in subcommands_of(command):
                return [*found, word]
            command = subcommands_of(command)[word]
    return found


def _words(arguments: str) -> list[str]:
    try:
        return shlex.split(arguments)
    except ValueError:  # a quotation mark of the prose around
        return arguments.split()


def _options(command: Any) -> Iterator[list[str]]:
    yield ["--help"]
    for parameter in command.params:
        yield [*parameter.opts, *parameter.secondary_opts]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_exists(page: Path) -> None:
    """`make X` in code is a target."""
    named = {target for line in code_lines_of(page) for target in _MAKE.findall(line)}
    assert named - TARGETS == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_and_option_exists(page: Path) -> None:
    """`agenttracer X Y --option` in code is what the command takes."""
    found = [(line, unknown_parts(arguments)) for line in code_lines_of(page) for arguments in _COMMAND.findall(line)]
    assert [(line, unknown) for line, unknown in found if unknown] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_variable_is_read_by_something(page: Path) -> None:
    """A name that ends in `_` or is followed by an ellipsis is the beginning of some."""
    unknown = [
        name
        for name, more in _VARIABLE.findall(page.read_text(encoding="utf-8"))
        if not (name in KNOWN_VARIABLES or ((more or name.endswith("_")) and any(k.startswith(name) for k in KNOWN_VARIABLES)))
    ]
    assert unknown == []


def test_what_does_not_exist_is_found() -> None:
    """A misspelt subcommand, one of a group, and an option of another command."""
    assert unknown_parts(" verfy") == ["verfy"]
    assert unknown_parts(" keys make") == ["make"]
    assert unknown_parts(" keys create --project shop --sample 1") == ["--sample"]
    assert unknown_parts(" rebuild --processes 2") == []
