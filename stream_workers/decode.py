"""Bytes of the topic to records of the contract, or to dead letters that say why not and keep nothing of what they said."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from agenttracer.wire.errors import ContractError
from servicekit import codec
from stream_workers.batch import DeadLetter, Received

_CANONICAL: Final = msgspec.json.Encoder(order="sorted")


def canonical_json(value: object) -> str:
    """The same text for the same value: members sorted, no spaces."""
    return _CANONICAL.encode(value).decode()


class Reader:
    """Reads fetched records. With a `hash_key`, dead letters carry a hash by which equal ones are recognised."""

    def __init__(self, hash_key: bytes | None) -> None:
        self._hash_key = hash_key
        self.unknown_members = 0

    def read(self, partition: int, records: Iterable[Any]) -> list[Received]:
        """One `Received` for each of these records of one partition, in order."""
        return [self._one(partition, raw) for raw in records]

    def _one(self, partition: int, raw: Any) -> Received:  # noqa: ANN401 - aiokafka's record
        value: bytes = raw.value or b""
        try:
            record, notes = codec.read_record(value)
        except ContractError as error:
            letter = self.bury(partition, raw.offset, value, reason=error.rule, field=error.field)
            return Received(partition, raw.offset, len(value), letter.keyed_hash, None, letter)
        self.unknown_members += notes.unknown
        return Received(partition, raw.offset, len(value), None, record, None)

    def bury(self, partition: int, offset: int, value: bytes, *, reason: str, field: str) -> DeadLetter:
        """The dead letter of a record that breaks the contract."""
        hashed = hashlib.blake2b(value, key=self._hash_key, digest_size=16).digest() if self._hash_key else None
        return DeadLetter(partition, offset, reason, field, len(value), hashed)


def refuse(item: Received, *, reason: str) -> Received:
    """The same record as a dead letter: the store will never take it."""
    letter = DeadLetter(item.partition, item.offset, reason, "", item.size_bytes, item.keyed_hash)
    return item._replace(record=None, letter=letter)
