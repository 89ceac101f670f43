"""Bytes of the topic to records of the contract, or to dead letters, which give the reason and keep no content."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from agenttracer.wire import form
from agenttracer.wire.errors import ContractError
from servicekit import codec
from stream_workers.store.batch import DeadLetter, Received

_CANONICAL: Final = msgspec.json.Encoder(order="sorted")


def canonical_json(value: object) -> str:
    """The same text for the same value: members sorted, no spaces."""
    return _CANONICAL.encode(value).decode()


class RecordDecoder:
    """Decodes fetched records. With a `hash_key`, dead letters carry a keyed hash, which is equal for equal records."""

    def __init__(self, hash_key: bytes | None) -> None:
        self._hash_key = hash_key
        self.unknown_members = 0

    def decode(self, partition: int, records: Iterable[Any]) -> list[Received]:
        """One `Received` for each of these records of one partition, in order."""
        return [self._one(partition, raw) for raw in records]

    def _one(self, partition: int, raw: Any) -> Received:  # noqa: ANN401 - aiokafka's record
        value: bytes = raw.value or b""
        try:
            record, notes = codec.read_record(value)
        except ContractError as error:
            letter = self._dead_letter(partition, raw, value, error)
            return Received(partition, raw.offset, len(value), letter.keyed_hash, None, letter)
        self.unknown_members += notes.unknown
        return Received(partition, raw.offset, len(value), None, record, None)

    def _dead_letter(self, partition: int, raw: Any, value: bytes, error: ContractError) -> DeadLetter:  # noqa: ANN401 - as above
        """The dead letter of a record that breaks the contract."""
        hashed = hashlib.blake2b(value, key=self._hash_key, digest_size=16).digest() if self._hash_key else None
        return DeadLetter(partition, raw.offset, error.rule, error.field, len(value), hashed, _project_of(raw.key))


def _project_of(key: bytes | None) -> str:
    """The project that a record's key names; empty where it has not the form of one, since that could be anything."""
    name = (key or b"").partition(b":")[0].decode("ascii", errors="replace")
    return name if form.is_name(name) else ""


def refuse(item: Received, *, reason: str) -> Received:
    """The same record as a dead letter: the store does not take it."""
    letter = DeadLetter(item.partition, item.offset, reason, "", item.size_bytes, item.keyed_hash, item.project)
    return item._replace(record=None, letter=letter)
