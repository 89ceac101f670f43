"""The keyed fingerprint of a failure message: equal messages group, and without the key none can be guessed.

The text is never kept.
"""

from typing import Final

_HEX_DIGITS: Final = 32


def fingerprint_of(message: str, *, key: bytes) -> str:
    """HMAC-SHA256 of the message's UTF-8 bytes, cut to 128 bits."""
    import hmac  # noqa: PLC0415 - loads the TLS library; most agents configure no key

    return hmac.digest(key, message.encode("utf-8", "surrogatepass"), "sha256").hex()[:_HEX_DIGITS]
