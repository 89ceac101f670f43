"""How a request's events become records."""

import json

import httpx
import pytest

from agenttracer.wire.envelope import BATCH_MAX_EVENTS
from producer_gateway.testing import MemoryRecordLog
from servicekit import codec
from tests.unit.gateway.otlp import spans as make

pytestmark = pytest.mark.anyio


async def test_no_record_holds_more_events_than_a_reader_takes(client: httpx.AsyncClient, log: MemoryRecordLog) -> None:
    """Spans that frame a run are two events each: 2,600 of one run become two records, small as they are."""
    roots = [make.span(f"{number:016x}") for number in range(1, 2_601)]
    answer = await client.post("/v1/traces", content=json.dumps(make.request(*roots)).encode())
    assert answer.status_code == 200
    records = [codec.read_record(message.value)[0] for message in log.messages]
    assert sum(len(record.events) for record in records) == 5_200
    assert max(len(record.events) for record in records) <= BATCH_MAX_EVENTS
    assert len(records) == 2
