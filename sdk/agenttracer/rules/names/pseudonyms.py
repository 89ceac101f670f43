"""Pseudonyms: what stands for a name that may not be stored as it is. Equal names have equal ones, and none can be read.

A pseudonym is `~` and ten hexadecimal digits of an HMAC under the key of a project. That key is made of the installation's
`NAME_KEY`, so that one name has different pseudonyms in two projects. A failure code has a form of its own: there it is
`pseudonym_` and the digits. Standard library only, pure.
"""

import hmac
import unicodedata
from typing import Final

KEY_MIN_CHARS: Final = 32
"""Of a `NAME_KEY`: 128 bits even when written in hexadecimal digits."""
CODE_PREFIX: Final = "pseudonym_"
_DIGITS: Final = 10


def project_key(name_key: str, project: str) -> str:
    """The key of one project, 64 hexadecimal digits. Who has it can test guesses of this project's names, and of no other's."""
    return hmac.digest(name_key.encode(), f"agenttracer names of {project}".encode(), "sha256").hex()


def key_id(name_key: str) -> str:
    """Tells name keys apart without telling anything about them."""
    return hmac.digest(name_key.encode(), b"agenttracer name key id", "sha256").hex()[:16]


class Pseudonyms:
    """Those of one project."""

    def __init__(self, key: bytes) -> None:
        """`key` is the text of a `project_key`."""
        self._key = key

    def of(self, text: str) -> str:
        """The pseudonym of a name. Names that look the same have the same: in Unicode's composed form, with single blanks."""
        return f"~{self._digits(text)}"

    def of_code(self, text: str) -> str:
        """The same in the form of failure codes."""
        return f"{CODE_PREFIX}{self._digits(text)}"

    def _digits(self, text: str) -> str:
        plain = text if text.isascii() else unicodedata.normalize("NFC", text)
        shown = " ".join(plain.split())
        return hmac.digest(self._key, shown.encode("utf-8", "surrogatepass"), "sha256").hex()[:_DIGITS]
