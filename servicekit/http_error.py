"""The form of an error that a service answers instead of what was asked for. Which errors there are is each service's own."""

from collections.abc import Mapping
from typing import ClassVar


class HttpError(Exception):
    """Something was not done. The default message is the first line of the class's docstring.

    Messages are constant or made of names and rules of our own, `code` and `field` of the contract's words: no value that was
    received ever stands in one.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, message: str | None = None, *, code: str | None = None, field: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").partition("\n")[0]
        self.error_code = code or type(self).code
        self.field = field
        super().__init__(self.message)
