"""How a request's events become records."""

import httpx
import pytest

from agenttracer.wire.envelope import BATCH_MAX_EVENTS
from agenttracer.wire.topics import RECORD_MAX_BYTES
from producer_gateway.app import create_app
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from servicekit import codec
from servicekit.testing import MemoryKeys, cache_of
from tests.unit.gateway.otlp import spans as make

pytestmark = pytest.mark.anyio


async def test_no_record_holds_more_events_than_a_reader_takes() -> None:
    """Spans that frame a run are two events each: 2,600 of one run become two records where a record may be large."""
    roots = [make.span(f"{number:016x}") for number in range(1, 2_601)]
    log = MemoryRecordLog()
    await log.start()
    app = create_app(
        GatewaySettings(anonymous_project="default", record_max_bytes=RECORD_MAX_BYTES), log, keys=cache_of(MemoryKeys())
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        answer = await client.post("/v1/traces", json=make.request(*roots))
    assert answer.status_code == 200
    records = [codec.read_record(message.value)[0] for message in log.messages]
    assert sum(len(record.events) for record in records) == 5_200
    assert max(len(record.events) for record in records) <= BATCH_MAX_EVENTS
    assert len(records) == 2
