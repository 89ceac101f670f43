"""The `agenttracer` command. Only its entry point stands here."""

import logging
import sys

from deploy.command.app import app
from deploy.command.screen import show_error
from deploy.errors import DeployError

EXIT_FAILED = 1


def main() -> None:
    """Run the command; what went wrong is shown as one clear line, never as a traceback."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # its errors reach us as exceptions
    try:
        app()
    except DeployError as error:
        show_error(str(error))
        sys.exit(EXIT_FAILED)
