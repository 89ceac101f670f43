"""The end of a process that no longer knows its own state: at once, with a log line that says where, and no content."""

import os
from typing import Final

from servicekit.logs import Log, error_class

EXIT_DEAD_LETTERS: Final = 65  # EX_DATAERR
"""Nobody's records can be stored: a fresh process would only find the same. Only where the settings ask for an end."""
EXIT_UNEXPECTED: Final = 70  # EX_SOFTWARE
EXIT_CONFIG: Final = 78  # EX_CONFIG
"""The store refuses this worker: the URL, the migrations or the rights are wrong."""
_log = Log("worker")


def end_process(error: BaseException) -> None:
    """End at once, committing nothing."""
    positions = error.__traceback__
    while positions is not None and positions.tb_next is not None:
        positions = positions.tb_next
    where = f"{os.path.basename(positions.tb_frame.f_code.co_filename)}:{positions.tb_lineno}" if positions else "-"  # noqa: PTH119 - a name in a log line
    _log.error("unexpected_error", error_class=error_class(error), where=where.replace("_", "-"))
    os._exit(EXIT_UNEXPECTED)
