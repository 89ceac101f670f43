"""Keyset cursors: a position in an ordering, as an opaque string. The store reader turns positions into SQL.

A cursor carries a checksum over itself and over what it belongs to (the ordering, and the run's id or the filters of the runs),
so that a cursor that was cut, changed by accident or taken from another listing is refused. It is not secret and grants nothing.
"""

import base64
import binascii
import json
import struct
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Final
from uuid import UUID

from agenttracer.wire import form
from agenttracer.wire.events import TIME_MAX_US
from query_service.errors import InputError
from query_service.store.rows import ABANDONED_ID
from query_service.store.store import (
    EVERYTHING,
    DetailPosition,
    RunFilter,
    RunOrder,
    RunPosition,
    RunSearch,
    SessionPosition,
    SortPosition,
)

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
CURSOR_MAX_CHARS: Final = 64
_CHECK_BYTES: Final = 6
_RUN: Final = struct.Struct(">q16s")
_DETAIL: Final = struct.Struct(">qBi16s")


class Ordering(StrEnum):
    """The orderings of a run's details. A changed ordering gets a new value, so that old cursors are refused."""

    STEPS = "steps:started_at,depth,seq,step_id"
    FAILURES = "failures:occurred_at,seq,failure_id"


_RUNS: Final = "runs:-started_at,-run_id"
_SESSIONS: Final = "sessions:-last_started_at,-session"
_CHILDREN: Final = "children:started_at,run_id"


def run_cursor(position: RunPosition, which: RunFilter, search: RunSearch = EVERYTHING) -> str:
    """The cursor that continues a listing of these runs behind `position`."""
    return _sealed(_RUN.pack(_to_us(position.started_at), position.run_id.bytes), scope=_scope(which, search))


def run_position(cursor: str, which: RunFilter, search: RunSearch = EVERYTHING) -> RunPosition:
    """Raises InputError."""
    at, run_id = _RUN.unpack(_opened(cursor, form=_RUN, scope=_scope(which, search)))
    return RunPosition(started_at=_to_time(at), run_id=UUID(bytes=run_id))


def sort_cursor(position: SortPosition, which: RunFilter, search: RunSearch, order: RunOrder) -> str:
    """The same of a listing in another order."""
    return _sealed(_RUN.pack(position.key, position.run_id.bytes), scope=f"{order}:{_scope(which, search)}")


def sort_position(cursor: str, which: RunFilter, search: RunSearch, order: RunOrder) -> SortPosition:
    """Raises InputError."""
    key, run_id = _RUN.unpack(_opened(cursor, form=_RUN, scope=f"{order}:{_scope(which, search)}"))
    return SortPosition(key=key, run_id=UUID(bytes=run_id))


def session_cursor(position: SessionPosition) -> str:
    """The cursor that continues a listing of sessions behind `position`."""
    return _sealed(_RUN.pack(_to_us(position.started_at), bytes.fromhex(position.session)), scope=_SESSIONS)


def session_position(cursor: str) -> SessionPosition:
    """Raises InputError."""
    at, session = _RUN.unpack(_opened(cursor, form=_RUN, scope=_SESSIONS))
    return SessionPosition(started_at=_to_time(at), session=session.hex())


def child_cursor(position: RunPosition, *, run_id: UUID) -> str:
    """The cursor that continues a listing of the runs that one run started behind `position`."""
    return _sealed(_RUN.pack(_to_us(position.started_at), position.run_id.bytes), scope=f"{_CHILDREN}:{run_id}")


def child_position(cursor: str, *, run_id: UUID) -> RunPosition:
    """Raises InputError."""
    at, child = _RUN.unpack(_opened(cursor, form=_RUN, scope=f"{_CHILDREN}:{run_id}"))
    return RunPosition(started_at=_to_time(at), run_id=UUID(bytes=child))


def detail_cursor(position: DetailPosition, *, ordering: Ordering, run_id: UUID) -> str:
    """The cursor that continues a listing of one run's details behind `position`."""
    packed = _DETAIL.pack(_to_us(position.at), position.depth, position.seq, position.id.encode("ascii"))
    return _sealed(packed, scope=f"{ordering}:{run_id}")


def detail_position(cursor: str, *, ordering: Ordering, run_id: UUID) -> DetailPosition:
    """Raises InputError."""
    at, depth, seq, padded = _DETAIL.unpack(_opened(cursor, form=_DETAIL, scope=f"{ordering}:{run_id}"))
    name = padded.rstrip(b"\0").decode("latin-1")
    if not (form.is_step_id(name) or name == ABANDONED_ID):
        raise _refusal()
    return DetailPosition(at=_to_time(at), depth=depth, seq=seq, id=name)


def _scope(which: RunFilter, search: RunSearch = EVERYTHING) -> str:
    given = {
        f.name: str(getattr(one, f.name)) for one in (which, search) for f in fields(one) if getattr(one, f.name) is not None
    }
    return f"{_RUNS}:{json.dumps(given, sort_keys=True)}"


def _sealed(body: bytes, *, scope: str) -> str:
    return base64.urlsafe_b64encode(body + _check(body, scope)).rstrip(b"=").decode("ascii")


def _opened(cursor: str, *, form: struct.Struct, scope: str) -> bytes:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _refusal() from None
    body = raw[:-_CHECK_BYTES]
    if len(body) != form.size or raw != body + _check(body, scope) or _sealed(body, scope=scope) != cursor:
        raise _refusal()
    return body


def _check(body: bytes, scope: str) -> bytes:
    return blake2b(body + scope.encode("ascii"), digest_size=_CHECK_BYTES).digest()


def _refusal() -> InputError:
    return InputError("cursor must be the next_cursor of an answer to the same request", field="cursor")


def _to_us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def _to_time(us: int) -> datetime:
    if not -TIME_MAX_US <= us <= 2 * TIME_MAX_US:  # any client can compute a checksum, and datetimes end at the year 9999
        raise _refusal()
    return EPOCH + timedelta(microseconds=us)
