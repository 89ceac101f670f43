"""A service's process with a bug in it: `PLANTED_BUG=<name> PLANTED_IN=<module> python -m tests.chaos.planted`.

`none` plants nothing, for the control. Also makes chunks small, so that a few thousand events already are many transactions.
"""

import os
import runpy

from servicekit import sql

_load = sql.load
sql.load = lambda path: dict(_load(path))  # bugs change statements, which are read-only; before anybody loads any

from stream_workers.kafka import chunks  # noqa: E402 - as above
from tests.chaos.bugs import BUGS  # noqa: E402 - as above

if __name__ == "__main__":
    chunks.CHUNK_RECORDS = 20  # type: ignore[misc]
    name = os.environ["PLANTED_BUG"]
    if name != "none":
        BUGS[name]()
    runpy.run_module(os.environ["PLANTED_IN"], run_name="__main__", alter_sys=True)
