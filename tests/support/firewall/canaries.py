"""Canaries: unique strings to plant where content may travel. How they are searched for is `scan`'s affair.

All canaries of one set begin with the same letters, which nobody can guess and which no other set has: one search finds any.
"""

import secrets
import string
from itertools import count
from typing import Final

MARK_CHARS: Final = 14
DIGITS: Final = 5


class Canaries:
    """A set of canaries, remembered in the order in which they were made."""

    def __init__(self) -> None:
        # A letter of either case at each end: changes of case are seen, and no form of encoding swallows the borders.
        middle = "".join(secrets.choice(string.ascii_letters) for _ in range(MARK_CHARS - 2))
        self.mark = f"C{middle}y"
        self.planted: list[str] = []
        self._numbers = count()

    def token(self) -> str:
        """One word in the form of a name: goes where no string at all may pass."""
        self.planted.append(f"{self.mark}{next(self._numbers):0{DIGITS}d}q")
        return self.planted[-1]

    def text(self) -> str:
        """A sentence that no hyphens make a name: goes where names may pass."""
        return f"{self.token()} said: keep this, please!"

    def named(self, number: int) -> str:
        """The canary of that number."""
        return f"{self.mark}{number:0{DIGITS}d}q"
