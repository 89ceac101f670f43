"""Settings: one frozen object out of arguments and `AGENTTRACER_*` variables. Arguments win. Read once, by the tracer."""

import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Final

from agenttracer import _warn
from agenttracer.errors import ConfigError

_PREFIX: Final = "AGENTTRACER_"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})
_Parse = Callable[[object], object]


def _url(value: object) -> str:
    from urllib.parse import urlsplit  # noqa: PLC0415 - costs milliseconds at import, and is needed once

    text = str(value).rstrip("/")
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError when it is no number
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError
    return text


def _flag(value: object) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError
    return text in _TRUE


def _directory(value: object) -> str:
    path = os.fspath(value)  # type: ignore[call-overload]  # raises TypeError for what is no path
    if not isinstance(path, str) or not os.path.isabs(path) or "\0" in path:  # noqa: PTH117 - pathlib costs milliseconds at import
        raise ValueError
    return path


def _secret(value: object) -> str:
    text = value.decode() if isinstance(value, bytes) else str(value)
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError
    return text


def _key(value: object) -> bytes:
    key = value if isinstance(value, bytes) else str(value).encode()
    if not key:
        raise ValueError
    return key


def _seconds(low: float, high: float) -> _Parse:
    def parse(value: object) -> float:
        seconds = float(str(value))
        if not low <= seconds <= high:
            raise ValueError
        return seconds

    return parse


def _count(low: int, high: int) -> _Parse:
    def parse(value: object) -> int:
        number = int(str(value))
        if not low <= number <= high:
            raise ValueError
        return number

    return parse


def _share(value: object) -> float:
    share = float(str(value))
    if not 0.0 <= share <= 1.0:
        raise ValueError
    return share


def _setting(default: Any, parse: _Parse, rule: str, *, shown: bool = True) -> Any:  # noqa: ANN401 - what dataclasses.field is
    return field(default=default, repr=shown, metadata={"parse": parse, "rule": rule})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every setting, its default and the reason for it. A field `x_s` is set by the argument `x_s` or `AGENTTRACER_X_S`."""

    api_url: str = _setting("http://127.0.0.1:8000", _url, "must be an http(s) URL without user name or query")
    """The gateway of a local stack, so that the first program needs no setting."""
    api_key: str | None = _setting(None, _secret, "must be printable ASCII without spaces", shown=False)
    disabled: bool = _setting(False, _flag, "must be true or false")  # noqa: FBT003 - a default, not a call's flag
    """The off switch: nothing is queued or sent, no thread is started."""
    strict: bool = _setting(False, _flag, "must be true or false")  # noqa: FBT003 - a default, not a call's flag
    """For tests: what would be counted is raised."""
    fingerprint_key: bytes | None = _setting(None, _key, "must not be empty", shown=False)
    """Without it failure messages leave only their length."""
    sample_rate: float = _setting(1.0, _share, "must be from 0 to 1")
    """Everything: leaving runs out is a choice."""
    flush_interval_s: float = _setting(0.5, _seconds(0.01, 60), "must be from 0.01 to 60")
    """Long enough to share a request among a busy second, short enough to look live."""
    batch_max_events: int = _setting(1_000, _count(1, 4_000), "must be from 1 to 4000")
    """A gateway takes 5,000; drop reports ride along."""
    queue_max_events: int = _setting(20_000, _count(10, 10_000_000), "must be from 10 to 10000000")
    """Ten seconds of 2,000 steps a second; about 9 MiB when full."""
    queue_max_bytes: int = _setting(32 * 1024 * 1024, _count(64 * 1024, 2**40), "must be at least 65536")
    """What the queue may be charged for: 1.6 kB an event, more for a step with more than six metadata entries."""
    heartbeat_interval_s: float = _setting(60.0, _seconds(0.1, 86_400), "must be from 0.1 to 86400")
    """One small event a minute for a run that takes long."""
    spool_dir: str | None = _setting(None, _directory, "must be an absolute path")
    """Off: writing to disk is the agent team's decision."""
    spool_max_bytes: int = _setting(64 * 1024 * 1024, _count(1024 * 1024, 2**40), "must be at least 1048576")
    """Of all processes that use the directory: about 200,000 events."""
    abandon_after_s: int | None = _setting(None, _count(1, 31 * 86_400), "must be from 1 to 2678400")
    """Left to the store unless set."""
    connect_timeout_s: float = _setting(2.0, _seconds(0.01, 60), "must be from 0.01 to 60")
    request_timeout_s: float = _setting(10.0, _seconds(0.01, 600), "must be from 0.01 to 600")
    """From connecting to the last byte of the answer; the gateway's own deadline is 5."""
    exit_timeout_s: float = _setting(2.0, _seconds(0, 600), "must be from 0 to 600")
    """What the end of a process may wait for its telemetry, for all tracers together."""
    flush_on_sigterm: bool = _setting(True, _flag, "must be true or false")  # noqa: FBT003 - a default, not a call's flag
    """A process that SIGTERM ends runs no exit hooks. Where the program handles the signal itself, nothing is done."""


def load(arguments: Mapping[str, object], *, environ: Mapping[str, str] = os.environ) -> Config:
    """Settings from `arguments` (None: not given), then variables, then defaults.

    A value that cannot be used is warned of once and the default stands, unless `strict`: then ConfigError is raised.
    """
    settings = {setting.name: setting for setting in fields(Config)}
    strict = bool(_read(settings["strict"], arguments, environ, strict=False))
    return Config(**{name: _read(setting, arguments, environ, strict=strict) for name, setting in settings.items()})


def _read(setting: "Field[Any]", arguments: Mapping[str, object], environ: Mapping[str, str], *, strict: bool) -> Any:  # noqa: ANN401 - of the setting's type
    raw = arguments.get(setting.name)
    if raw is None:
        raw = environ.get(_PREFIX + setting.name.upper())
    if raw is None or (raw == "" and setting.default is None):
        return setting.default
    try:
        return setting.metadata["parse"](raw)
    except Exception:  # noqa: BLE001 - also what the value's own __str__ may raise
        error = ConfigError(setting=setting.name, rule=setting.metadata["rule"])
    if strict:
        raise error
    _warn.once(f"setting:{setting.name}", f"{error}; the default is used")
    return setting.default
