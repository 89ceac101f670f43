"""Keyed digests of what must not be kept: which session a span belongs to, and which work a tool was given.

The keys are derived from the gateway's own secret, and nothing can be read from a digest without it. Digests of sessions are
comparable within a project, digests of work within a run only.
"""

import hashlib
from typing import Final

_SESSION_BYTES: Final = 16
_WORK_BYTES: Final = 8
_PERSON_SESSION: Final = b"otlp-session"
_PERSON_WORK: Final = b"otlp-work"


class Digests:
    """Of one project, for one request: its spans mostly name few sessions."""

    def __init__(self, secret: bytes, project: str) -> None:
        self._key = hashlib.blake2b(project.encode(), key=secret[:64], digest_size=32).digest()
        self._sessions: dict[str, str] = {}

    def session(self, session_id: str) -> str:
        """32 hex digits."""
        digest = self._sessions.get(session_id)
        if digest is None:
            made = hashlib.blake2b(_bytes(session_id), key=self._key, person=_PERSON_SESSION, digest_size=_SESSION_BYTES)
            digest = self._sessions[session_id] = made.hexdigest()
        return digest

    def work(self, run_id: str, name: str, arguments: str) -> str:
        """16 hex digits: of the tool and what it was called with."""
        work = b"\0".join((run_id.encode(), name.encode(), _bytes(arguments)))
        return hashlib.blake2b(work, key=self._key, person=_PERSON_WORK, digest_size=_WORK_BYTES).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
