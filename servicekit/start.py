"""Settings read at the start of a process, or the process ended with one clear line a mistake: no traceback, no value."""

import sys
from typing import Final, NoReturn, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

EXIT_SETTINGS: Final = 78
"""EX_CONFIG of sysexits.h, as in the workers."""
_Settings = TypeVar("_Settings", bound=BaseSettings)


def read_settings(kind: type[_Settings]) -> _Settings:
    """The settings that the environment holds. Ends the process where they are unsound."""
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        for problem in error.errors(include_input=False, include_url=False, include_context=False):
            name = "__".join(str(part).upper() for part in problem["loc"])
            complain(f"{prefix}{name}: {problem['msg']}" if name else problem["msg"])
        sys.exit(EXIT_SETTINGS)


def refuse_to_start(why: str) -> NoReturn:
    """End the process."""
    complain(why)
    sys.exit(EXIT_SETTINGS)


def complain(line: str) -> None:
    """One line for whoever started the process."""
    print(f"cannot start: {line}", file=sys.stderr)  # noqa: T201 - before there is a log
