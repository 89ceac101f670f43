"""The partition of a key is the one that every other Kafka client chooses."""

import random

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as reference

from producer_gateway.kafka.partitioner import murmur2, partition_of


def test_any_bytes_of_any_length() -> None:
    """The hash is the reference's for every length, with and without a rest after its four-byte words."""
    chance = random.Random(0)
    for length in range(300):
        data = chance.randbytes(length)
        assert murmur2(data) == reference(data), length


@pytest.mark.parametrize(
    ("data", "signed"), [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)]
)
def test_what_java_says(data: bytes, signed: int) -> None:
    """The values that stand in the test of Kafka's own Java client."""
    assert murmur2(data) == signed % 2**32


def test_the_default_partitioner() -> None:
    """Keys stay where the client's default would put them."""
    chance = random.Random(1)
    for partitions in (1, 3, 12, 1_000):
        key = f"default:{chance.randbytes(16).hex()}".encode()
        assert partition_of(key, partitions) == DefaultPartitioner()(key, list(range(partitions)), [])
