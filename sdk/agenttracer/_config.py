"""Settings: one frozen object from arguments and `AGENTTRACER_*` variables. Arguments take precedence. Read once per tracer."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Final

from agenttracer import _warn
from agenttracer.errors import ConfigError

_PREFIX: Final = "AGENTTRACER_"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"", "0", "false", "no", "off"})
_OTHERS_PREFIXES: Final = ("GATEWAY_", "WORKER_", "QUERY_", "KAFKA_", "POSTGRES_", "PROCESS_")
"""Of the variables that the services and the command `agenttracer` read."""
_OTHERS: Final = frozenset(
    {
        "CACHE_DIR",
        "JAVA",
        "KEY_PEPPER",
        "KEY_PEPPER_FORMER",
        "READ_KEY",
        "READ_URL",
        "START_LIMIT_S",
        "STATE_DIR",
        "TOPIC",
        "VERIFY_MEMORY_MB",
        "WORKERS",
    }
)
"""The command's other variables. A test compares them with the command."""
_Parse = Callable[[object], object]


def _url(value: object) -> str:
    from urllib.parse import urlsplit  # noqa: PLC0415 - costs milliseconds at import, and is needed once

    text = str(value).rstrip("/")
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError if the port is no number
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError
    return text


def _flag(value: object) -> bool:
    text = str(value).strip().lower()
    if text not in _TRUE | _FALSE:
        raise ValueError
    return text in _TRUE


def _directory(value: object) -> str:
    path = os.fspath(value)  # type: ignore[call-overload]  # raises TypeError for a value that is no path
    if not isinstance(path, str) or not os.path.isabs(path) or "\0" in path:  # noqa: PTH117 - pathlib costs milliseconds at import
        raise ValueError
    return path


def _secret(value: object) -> str:
    text = value.decode() if isinstance(value, bytes) else str(value)
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError
    return text


_KEY_MIN_BYTES: Final = 16
"""Who can try all keys can test a guess of what was hashed."""


def _key(value: object) -> bytes:
    key = value if isinstance(value, bytes) else str(value).encode()
    if len(key) < _KEY_MIN_BYTES:
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


def _setting(default: Any, parse: _Parse, rule: str, *, shown: bool = True) -> Any:  # noqa: ANN401 - like dataclasses.field
    return field(default=default, repr=shown, metadata={"parse": parse, "rule": rule})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every setting, its default and the reason for it. A field `x_s` is set by the argument `x_s` or `AGENTTRACER_X_S`."""

    api_url: str = _setting("http://127.0.0.1:8000", _url, "must be an http(s) URL without user name or query")
    """The gateway of a local stack with its default port: a first program needs no setting."""
    api_key: str | None = _setting(None, _secret, "must be printable ASCII without spaces", shown=False)
    allow_insecure: bool = _setting(False, _flag, "must be true or false")  # noqa: FBT003 - a default, not a call's flag
    """Without it the key is not sent in clear to another machine: whoever can listen on the way could use it."""
    disabled: bool = _setting(False, _flag, "must be true or false")  # noqa: FBT003 - a default, not a call's flag
    """The off switch: nothing is queued or sent, no thread is started."""
    strict: bool = _setting(False, _flag, "must be true or false")  # noqa: FBT003 - a default, not a call's flag
    """For tests: errors that would be counted are raised."""
    fingerprint_key: bytes | None = _setting(None, _key, f"must have at least {_KEY_MIN_BYTES} bytes", shown=False)
    """Without it failure messages leave only their length."""
    name_key: bytes | None = _setting(None, _key, f"must have at least {_KEY_MIN_BYTES} bytes", shown=False)
    """The project's, as `agenttracer names key` prints it. Without it a name in another script is sent as `__invalid__`."""
    read_errors: bool = _setting(True, _flag, "must be true or false")  # noqa: FBT003 - a default, not a call's flag
    """Messages of exceptions and results of tools are read in memory for the code of an error; no text is kept or sent."""
    sample_rate: float = _setting(1.0, _share, "must be from 0 to 1")
    """Every run: sampling is opt-in."""
    flush_interval_s: float = _setting(0.5, _seconds(0.01, 60), "must be from 0.01 to 60")
    """Long enough to share a request among a busy second, short enough to look live."""
    batch_max_events: int = _setting(1_000, _count(1, 4_000), "must be from 1 to 4000")
    """A gateway takes 5,000; drop reports ride along."""
    queue_max_events: int = _setting(20_000, _count(10, 10_000_000), "must be from 10 to 10000000")
    """Ten seconds of 2,000 steps a second; about 9 MiB when full."""
    queue_max_bytes: int = _setting(32 * 1024 * 1024, _count(64 * 1024, 2**40), "must be at least 65536")
    """Bound of the queue's memory, counted as 1.6 kB an event, and more for a step with more than six metadata entries."""
    heartbeat_interval_s: float = _setting(60.0, _seconds(0.1, 86_400), "must be from 0.1 to 86400")
    """One small event a minute for a run that takes long."""
    spool_dir: str | None = _setting(None, _directory, "must be an absolute path")
    """Off: writing to disk is opt-in."""
    spool_max_bytes: int = _setting(64 * 1024 * 1024, _count(1024 * 1024, 2**40), "must be at least 1048576")
    """Of all processes that use the directory: about 200,000 events."""
    abandon_after_s: int | None = _setting(None, _count(1, 31 * 86_400), "must be from 1 to 2678400")
    """Without it the store's own default applies."""
    connect_timeout_s: float = _setting(2.0, _seconds(0.01, 60), "must be from 0.01 to 60")
    request_timeout_s: float = _setting(10.0, _seconds(0.01, 600), "must be from 0.01 to 600")
    """From connecting to the last byte of the response; the gateway's own deadline is 5."""
    exit_timeout_s: float = _setting(2.0, _seconds(0, 600), "must be from 0 to 600")
    """How long the end of a process may wait for its telemetry, for all tracers together."""
    flush_on_end: bool = _setting(False, _flag, "must be true or false")  # noqa: FBT003 - a default, not a call's flag
    """For processes that are frozen between their calls, as serverless functions are: the end of a run waits until it is sent."""
    flush_on_sigterm: bool = _setting(True, _flag, "must be true or false")  # noqa: FBT003 - a default, not a call's flag
    """A process that SIGTERM ends runs no exit hooks. If the program handles the signal itself, the SDK does nothing."""

    @property
    def sendable_key(self) -> str | None:
        """The key, unless the way to the gateway is open to others and nobody has allowed that."""
        return self.api_key if self.may_send_key(self.api_url) else None

    def may_send_key(self, url: str) -> bool:
        """Whether a key may be sent to this URL: encrypted, or not beyond this machine, or because the user says so."""
        return self.allow_insecure or not _leaves_in_clear(url)


def _leaves_in_clear(url: str) -> bool:
    from urllib.parse import urlsplit  # noqa: PLC0415 - costs milliseconds at import, and is needed once

    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return False
    from ipaddress import ip_address  # noqa: PLC0415 - likewise

    try:
        return not ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return True  # a name, which another may answer to


_IN_CLEAR: Final = (
    "is plain http to another machine, where a key could be read on the way: use https, or set allow_insecure=True "
    "(AGENTTRACER_ALLOW_INSECURE=1) if that network is yours alone"
)


def load(arguments: Mapping[str, object], *, environ: Mapping[str, str] = os.environ) -> Config:
    """Settings from `arguments` (None: not given), then variables, then defaults.

    A value that cannot be used draws one warning, and the default is used; with `strict` ConfigError is raised instead. A
    variable that no part of AgentTracer reads draws one warning too: it may be misspelt.
    """
    settings = {setting.name: setting for setting in fields(Config)}
    _warn_of_unknown(environ, known=settings)
    strict = bool(_read(settings["strict"], arguments, environ, strict=False))
    config = Config(**{name: _read(setting, arguments, environ, strict=strict) for name, setting in settings.items()})
    if config.api_key is not None and config.sendable_key is None and not config.disabled:
        error = ConfigError(setting="api_url", rule=_IN_CLEAR)
        if strict:
            raise error
        _warn.once("allow_insecure", f"{error}; the key is not sent")
    return config


def _read(setting: "Field[Any]", arguments: Mapping[str, object], environ: Mapping[str, str], *, strict: bool) -> Any:  # noqa: ANN401 - of the setting's type
    raw = arguments.get(setting.name)
    if raw is None:
        raw = environ.get(_PREFIX + setting.name.upper())
    if raw is None or (raw == "" and setting.default is None):
        return setting.default
    try:
        return setting.metadata["parse"](raw)
    except Exception:  # noqa: BLE001 - the value's own __str__ may raise anything
        error = ConfigError(setting=setting.name, rule=setting.metadata["rule"])
    if strict:
        raise error
    _warn.once(f"setting:{setting.name}", f"{error}; the default is used")
    return setting.default


def _warn_of_unknown(environ: Mapping[str, str], *, known: Iterable[str]) -> None:
    """Warn once of each variable that nothing reads. Names only: a value could be a key."""
    names = [name.upper() for name in known]
    for variable in environ:
        name = variable.removeprefix(_PREFIX)
        if name == variable or name in names or name in _OTHERS or name.startswith(_OTHERS_PREFIXES):
            continue
        from difflib import get_close_matches  # noqa: PLC0415 - few programs need it

        nearest = get_close_matches(name, names, n=1)
        hint = f"did you mean {_PREFIX}{nearest[0]}?" if nearest else "no setting has a similar name"
        _warn.once(f"variable:{name}", f"the variable {variable} is unknown and ignored; {hint}")
