"""The `agenttracer` command. Only its entry point stands here."""

import logging
import sys
from typing import Final

from agenttracer_cli.app import app
from agenttracer_cli.errors import DeployError, SettingsError
from agenttracer_cli.output import describe_fault, show_error

EXIT_FAILED: Final = 1
EXIT_WRONG_SETTINGS: Final = 2  # as for wrong usage: nothing was done
EXIT_FAULT: Final = 70
"""EX_SOFTWARE of sysexits.h, as in the workers."""


def main() -> None:
    """Run the command; what went wrong is shown as one clear line, never as a traceback, which could show values."""
    for library in ("aiokafka", "asyncio"):  # their errors reach us as exceptions
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        app()
    except SettingsError as error:
        show_error(str(error))
        sys.exit(EXIT_WRONG_SETTINGS)
    except DeployError as error:
        show_error(str(error))
        sys.exit(EXIT_FAILED)
    except Exception as error:  # noqa: BLE001 - its text and its traceback can hold addresses, passwords and values of rows
        show_error(f"{describe_fault(error)}; please report it")
        sys.exit(EXIT_FAULT)
