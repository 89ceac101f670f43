"""Digests of the work of a step: equal for the same tool and arguments, and only within one run, whose random salt is the key."""

from typing import Final

from agenttracer import _lazy_imports

_DIGEST_BYTES: Final = 8


def digest_of(salt: bytes, kind: str, name: str, work: tuple[object, ...]) -> str | None:
    """16 hex digits. Arguments are equal if their JSON is, or for what has none their type and `repr`. None if that fails."""
    with _lazy_imports.IMPORT_LOCK:
        import json  # noqa: PLC0415 - loaded when first needed
        from hashlib import blake2b  # noqa: PLC0415 - loads the TLS library
    try:
        text = json.dumps([kind, name, work], sort_keys=True, default=_shown)
    except Exception:  # noqa: BLE001 - a circle, keys without an order, a `repr` of the agent's own
        return None
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES, key=salt).hexdigest()


def _shown(value: object) -> str:
    return f"{type(value).__qualname__}:{value!r}"
