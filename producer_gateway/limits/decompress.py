"""One layer of compression off a body, within limits that hold while it inflates. Where the bytes come from is not known here."""

import sys
import zlib
from enum import StrEnum
from typing import Final, Protocol

from producer_gateway.errors import BadCompressionError, BodyTooLargeError, UnknownEncodingError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_GZIP_WBITS: Final = 31  # zlib's code for exactly a gzip wrapper
_WINDOW_LOG_MAX: Final = 23
"""8 MiB of history, which RFC 9659 sets for zstd over HTTP. A frame's header may ask for 2 GiB; zstd itself gives 128 MiB."""
_RATIO_FREE_BYTES: Final = 1024 * 1024  # small bodies are cheap at any ratio


class ContentEncoding(StrEnum):
    """The content encodings of a body."""

    IDENTITY = "identity"
    GZIP = "gzip"
    ZSTD = "zstd"


class _Inflater(Protocol):
    """The common part of zlib's and zstd's decompressors."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_NAMES: Final = {"": ContentEncoding.IDENTITY, "x-gzip": ContentEncoding.GZIP, **{str(each): each for each in ContentEncoding}}


def encoding_of(headers: list[str]) -> ContentEncoding:
    """By the Content-Encoding headers of a request. Raises UnknownEncodingError for any other, and for more than one layer."""
    encoding = _NAMES.get(headers[0].strip().lower()) if headers else ContentEncoding.IDENTITY
    if encoding is None or len(headers) > 1:
        raise UnknownEncodingError
    return encoding


def inflated_most(body: bytes, *, max_bytes: int, max_ratio: int) -> int:
    """How large the body may become."""
    return min(max_bytes, max(_RATIO_FREE_BYTES, len(body) * max_ratio))


def inflate(body: bytes, encoding: ContentEncoding, *, most: int) -> bytes:
    """The body as it was before. Raises BadCompressionError, BodyTooLargeError; never holds more than one byte too many."""
    if encoding is ContentEncoding.IDENTITY:
        return body
    inflater = _inflater(encoding)
    try:
        inflated = inflater.decompress(body, most + 1)
    except (zlib.error, zstd.ZstdError):
        raise BadCompressionError from None
    if len(inflated) > most:
        raise BodyTooLargeError(code="inflated_too_large")
    if inflater.unused_data or not inflater.eof:
        raise BadCompressionError
    return inflated


def _inflater(encoding: ContentEncoding) -> _Inflater:
    if encoding is ContentEncoding.GZIP:
        return zlib.decompressobj(wbits=_GZIP_WBITS)
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_MAX})
