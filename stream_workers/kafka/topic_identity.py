"""The id that Kafka gives to a topic. aiokafka 0.14 does not ask for it yet: its metadata requests end at v5.

The request is version 10 of Kafka's Metadata API (KIP-516), sent through aiokafka's client.
"""

from io import BytesIO
from typing import Any, Final
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from stream_workers.store.batch import Topic

_METADATA: Final = 3
_VERSION: Final = 10
_NO_ID: Final = UUID(int=0)


class _Uuid(AbstractType):  # type: ignore[misc]  # aiokafka is untyped to us
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


class _MetadataResponse(Response):  # type: ignore[misc]  # as above
    API_KEY = _METADATA
    API_VERSION = _VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequestV10(RequestStruct):  # type: ignore[misc]  # as above
    API_KEY = _METADATA
    API_VERSION = _VERSION
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicIdRequest(Request[_MetadataRequestV10]):  # type: ignore[misc]  # as above
    API_KEY = _METADATA

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: Any) -> Any:  # noqa: ANN401 - aiokafka's struct class
        return request_struct_class([(_NO_ID, self._topic, {})], False, False, False, {})  # noqa: FBT003 - positional by protocol


async def find_topic(bootstrap_servers: str, name: str, **security: object) -> Topic | None:
    """The topic and its id; None when there is no such topic. Raises aiokafka's KafkaError when no broker answers."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap_servers, client_id="agenttracer-topic-id", **security)
    try:
        await client.bootstrap()
        answer = await client.send(client.get_random_node(), _TopicIdRequest(name))
        found = answer.to_object()["topics"]
    finally:
        await client.close()
    for topic in found:
        if topic["name"] == name and topic["error_code"] == 0:
            return Topic(name, topic["topic_id"])
    return None
