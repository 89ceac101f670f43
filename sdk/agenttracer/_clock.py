"""The clock by which the SDK waits and looks again."""

import time
from functools import partial
from typing import Final

now: Final = partial(time.monotonic)
"""Bound at import: tests of an agent that replace `time.monotonic` do not stop the SDK's own deadlines."""
