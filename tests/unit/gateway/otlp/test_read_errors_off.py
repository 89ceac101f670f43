"""A gateway that is told not to read texts: flags, classes and codes count, and nothing that is only told."""

import asyncio
import json

import pytest

from tests.benchmarks.labelled_replay import gateway, records_of

ATTRIBUTES = {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "lookup",
    "gen_ai.tool.call.result": "Error: user not found",
}


def _request() -> dict[str, object]:
    """A tool that returned an error as text, and one that raised with a telling message."""
    shown = [{"key": key, "value": {"stringValue": value}} for key, value in ATTRIBUTES.items()]
    common = {"traceId": "a" * 32, "startTimeUnixNano": "1790000000000000000", "endTimeUnixNano": "1790000001000000000"}
    returned = {**common, "spanId": "1" * 16, "parentSpanId": "f" * 16, "name": "execute_tool lookup", "attributes": shown}
    status = {"code": 2, "message": "Rate limit exceeded"}
    failed = {**common, "spanId": "2" * 16, "parentSpanId": "f" * 16, "name": "chat", "attributes": [], "status": status}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [returned, failed]}]}]}


@pytest.mark.parametrize("read", [True, False])
def test_texts_are_read_unless_it_is_switched_off(*, read: bool) -> None:
    """The reader's words are there with it and nowhere without."""

    async def work() -> str:
        async with gateway(read_errors=read) as (client, log):
            answer = await client.post("/v1/traces", content=json.dumps(_request()), headers={"content-type": "application/json"})
            assert answer.status_code == 200
            return str([record.events for record in records_of(log)])

    stored = asyncio.run(work())
    assert ("not_found" in stored, "rate_limited" in stored) == (read, read)
