"""Reports errors that nothing awaits, without content: asyncio prints the repr of callbacks, arguments and exceptions."""

import asyncio
from typing import Any

from servicekit.logs import Log, error_class


def report_to(log: Log) -> None:
    """Make the running loop report what it would print itself as one `unawaited_error` line of `log`."""

    def report(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        log.error("unawaited_error", error_class=None if error is None else error_class(error))

    asyncio.get_running_loop().set_exception_handler(report)
