"""Reads a service's settings at its start, or ends the process with one clear line for each mistake.

A line names the variable and the rule; there is no traceback and no value. Everything that can be wrong with settings is found
here, before anything else runs: their form, the log level, files that are missing, names that no setting has.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, SettingsError

from servicekit.environment import unknown_to_service, variables_of
from servicekit.http.tls import Tls
from servicekit.kafka import KafkaSecurity
from servicekit.logs import LEVEL_RULE, LEVELS

EXIT_SETTINGS: Final = 78
"""EX_CONFIG of sysexits.h, as in the workers."""
_FIELD: Final = re.compile(r'field "(\w+)"')
_Settings = TypeVar("_Settings", bound=BaseSettings)


def read_settings(kind: type[_Settings]) -> _Settings:
    """The settings that the environment holds. Ends the process if they are unsound."""
    misspelt = _unknown(kind)
    try:
        settings = kind()
    except ValidationError as error:
        _refuse([*misspelt, *_of_fields(kind, error)])
    except SettingsError as error:  # a setting with parts, given as one text
        named = _FIELD.search(str(error))
        rule = "must be JSON; better set its parts one by one, see docs/settings.md"
        _refuse([*misspelt, f"{_variable(kind, named[1])}: {rule}" if named else rule])
    faults = [*misspelt, *(f"{_variable(kind, name)}: {rule}" for name, rule in _faults(settings))]
    if faults:
        _refuse(faults)
    return settings


def refuse_to_start(why: str, *, kind: type[BaseSettings] | None = None) -> NoReturn:
    """End the process. Names of fields of `kind` in the reason are written as their variables."""
    _refuse([why if kind is None else _with_variables(kind, why)])


def complain(line: str) -> None:
    """One line for the person who started the process."""
    print(f"cannot start: {line}", file=sys.stderr)  # noqa: T201 - before there is a log


def _refuse(lines: list[str]) -> NoReturn:
    for line in lines:
        complain(line)
    sys.exit(EXIT_SETTINGS)


def _unknown(kind: type[BaseSettings]) -> list[str]:
    """A line for each variable that is like the name of a setting, or would be a part of one. Others get a warning.

    Those can be settings of another release, or made by an orchestrator, and are no reason not to start.
    """
    refused = []
    parts = tuple(known.partition("__")[0] + "__" for known in variables_of(kind) if "__" in known)
    for name, nearest in unknown_to_service(kind, os.environ):
        if nearest or name.startswith(parts):
            refused.append(f"{name} is not a setting" + (f"; did you mean {nearest}?" if nearest else ""))
        else:
            print(f"warning: {name} is not a setting, and has no effect", file=sys.stderr)  # noqa: T201 - before there is a log
    return refused


def _of_fields(kind: type[BaseSettings], error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        location = [str(part) for part in problem["loc"]]
        rule = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":  # `_unknown` has named it
            continue
        named = _with_variables(kind, rule, within=location)
        if not location or named != rule:  # a rule about several fields names them itself
            yield named
        else:
            yield f"{_variable(kind, *location)}: {rule}"


def _with_variables(kind: type[BaseSettings], text: str, *, within: list[str] | None = None) -> str:
    """The text with the names of fields, of the settings or of one part of them, replaced by their variables."""
    fields, path = kind.model_fields, within or []
    if path:
        part = fields[path[0]].annotation if path[0] in fields else None
        if len(path) > 1 or not (isinstance(part, type) and issubclass(part, BaseModel)):
            return text
        fields = part.model_fields
    names = re.compile(rf"\b({'|'.join(sorted(fields, key=len, reverse=True))})\b")
    return names.sub(lambda found: _variable(kind, *path, found[1]), text)


def _variable(kind: type[BaseSettings], *path: str) -> str:
    """The variable of a field, or of a part's field: `_variable(kind, "tls", "cert_file")`."""
    return kind.model_config.get("env_prefix", "") + "__".join(path).upper()


def _faults(settings: BaseSettings) -> Iterator[tuple[str, str]]:
    """Field and rule of each fault that the form of the settings does not show."""
    for name, value in settings:
        if name == "log_level" and str(value).upper() not in LEVELS:
            yield name, LEVEL_RULE
        elif isinstance(value, Tls):
            yield from _unreadable(name, value, value.uvicorn_arguments)
        elif isinstance(value, KafkaSecurity):
            yield from _unreadable(name, value, value.aiokafka_arguments)


def _unreadable(name: str, part: BaseModel, load: Callable[[], object]) -> Iterator[tuple[str, str]]:
    try:
        load()
    except OSError as error:  # an SSLError, too
        unread = [(f"{name}__{field}", reason) for field, path in part if (reason := _unread(path))]
        code = getattr(error, "reason", None) or type(error).__name__
        yield from unread or [(name, f"its files are not certificates and their key in PEM ({code})")]


def _unread(path: object) -> str | None:
    """Why a file that is part of the settings cannot be read."""
    try:
        if isinstance(path, Path):
            path.open("rb").close()
    except OSError as error:
        return f"cannot be read ({type(error).__name__})"
    return None
