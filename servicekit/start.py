"""Settings read at the start of a process, or the process ended with one clear line a mistake: no traceback, no value.

All that can be wrong with settings is found here, before anything else runs: their form, the log's level, files that are not
there.
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, SettingsError

from servicekit.kafka import KafkaSecurity
from servicekit.logs import LEVEL_RULE, LEVELS
from servicekit.tls import Tls

EXIT_SETTINGS: Final = 78
"""EX_CONFIG of sysexits.h, as in the workers."""
_FIELD: Final = re.compile(r'field "(\w+)"')
_Settings = TypeVar("_Settings", bound=BaseSettings)


def read_settings(kind: type[_Settings]) -> _Settings:
    """The settings that the environment holds. Ends the process where they are unsound."""
    prefix = kind.model_config.get("env_prefix", "")
    try:
        settings = kind()
    except ValidationError as error:
        _refuse(prefix, _of_fields(error))
    except SettingsError as error:  # what has parts, given as one text
        named = _FIELD.search(str(error))
        _refuse(prefix, [(named[1] if named else "", "must be JSON; better set its parts one by one, see docs/settings.md")])
    faults = list(_faults(settings))
    if faults:
        _refuse(prefix, faults)
    return settings


def refuse_to_start(why: str) -> NoReturn:
    """End the process."""
    complain(why)
    sys.exit(EXIT_SETTINGS)


def complain(line: str) -> None:
    """One line for whoever started the process."""
    print(f"cannot start: {line}", file=sys.stderr)  # noqa: T201 - before there is a log


def _refuse(prefix: str, faults: list[tuple[str, str]]) -> NoReturn:
    for name, rule in faults:
        complain(f"{prefix}{name.upper()}: {rule}" if name else rule)
    sys.exit(EXIT_SETTINGS)


def _of_fields(error: ValidationError) -> list[tuple[str, str]]:
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    return [("__".join(str(part) for part in problem["loc"]), problem["msg"]) for problem in problems]


def _faults(settings: BaseSettings) -> Iterator[tuple[str, str]]:
    """What the form of the settings does not show: field and rule."""
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
