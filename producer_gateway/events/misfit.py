"""A required name that has no form of one, on its way from decoding to the lock on names, which knows its project."""

from typing import Self

from agenttracer.wire.vocabulary import INVALID_NAME


class Misfit(str):  # noqa: SLOT000 - CPython has no slots in subclasses of str
    """The contract's placeholder, with the text in place of which it stands. No detector hits the text.

    Wherever it were encoded it would be the placeholder. Two of them are equal where their texts are, so that agents with
    different names stay apart.
    """

    text: str

    def __new__(cls, text: str) -> Self:
        """`text` is what was sent."""
        made = super().__new__(cls, INVALID_NAME)
        made.text = text
        return made

    def __eq__(self, other: object) -> bool:
        return other.text == self.text if isinstance(other, Misfit) else str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((INVALID_NAME, self.text))
