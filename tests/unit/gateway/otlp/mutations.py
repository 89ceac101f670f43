"""Mutated OTLP bodies, structure-aware: `bodies(seed, count)` for the unit tests' few thousand and for `make fuzz`'s millions.

`python -m tests.unit.gateway.otlp.mutations 1000000` posts that many and says what they were answered with.
"""

import asyncio
import gzip
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

import httpx

from producer_gateway.app import create_app
from producer_gateway.settings import GatewaySettings
from producer_gateway.testing import MemoryRecordLog
from servicekit import codec
from servicekit.keys import Scope
from servicekit.testing import MemoryKeys, ring_of
from tests.unit.gateway.otlp import spans as make
from tests.unit.gateway.otlp.spans import CHILD, LEAF, ROOT, Json

Body = tuple[bytes, dict[str, str]]
WRONG: Final[tuple[Any, ...]] = (
    *(None, True, 0, -1, 2**63, 2**64, 10**30, -(2**63), 0.5, 1e308, "", "0", "x", "NaN", "-5", "9" * 25, "\0", "é", "\ud800"),
    *("0" * 32, "f" * 32, "0" * 16, "zz" * 8, "ab", [], {}, [[]], [None], {"stringValue": "x"}, {"intValue": "x"}, "a" * 5_000),
    *({"arrayValue": {"values": [{"arrayValue": {"values": []}}]}}, {"kvlistValue": {"values": [{}]}}, {"bytesValue": "AA=="}),
)
TIMES: Final = (0, 1, 10**18, 2**63 - 1, 2**64 - 1, make.START_NS, make.START_NS + 10**17)


def seeds() -> list[Json]:
    """Well-formed requests to start from."""
    chat = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.response.finish_reasons": ["stop"],
        "x": {"y": [1]},
    }
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a b", "retrieval.documents.0.document.id": "1"}
    failed = make.failed("ReadTimeout")
    return [
        make.request(make.span(said=agent, **failed), make.span(CHILD, ROOT, said=chat, **failed), make.span(LEAF, CHILD)),
        make.request(make.span(said={"openinference.span.kind": "TOOL", "tool.name": "t"}, flags=0x300), resource={}),
        {"resourceSpans": [*make.request(make.span())["resourceSpans"] * 2, {}]},
    ]


def bodies(seed: int, count: int) -> Iterator[Body]:
    """`count` bodies with their headers; the same for the same seed."""
    chance = random.Random(seed)
    starts = seeds()
    packed = [make.protobuf(start) for start in starts]
    for _ in range(count):
        if chance.random() < 0.5:
            body, media = _mutated_json(chance, chance.choice(starts)), "application/json"
        else:
            body, media = _mutated_protobuf(chance, chance.choice(packed)), "application/x-protobuf"
        headers = {"content-type": media}
        if chance.random() < 0.1:
            body, headers["content-encoding"] = _torn(chance, gzip.compress(body, 1)), "gzip"
        yield body, headers


def _mutated_json(chance: random.Random, start: Json) -> bytes:
    body = json.loads(json.dumps(start))
    for _ in range(chance.randint(1, 3)):
        _mutate(chance, body)
    text = json.dumps(body).encode()
    return _torn(chance, text) if chance.random() < 0.2 else text


def _mutate(chance: random.Random, at: Any) -> None:
    """One change somewhere below `at`: a wrong value, a member less, one twice, one under another's name."""
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return
        key = chance.choice(keys)
        if isinstance(at[key], dict | list) and at[key] and chance.random() < 0.8:
            at = at[key]
            continue
        break
    change = chance.randrange(5)
    if change == 0:
        del at[key]
    elif change == 1 and isinstance(at, list):
        at.extend([deepcopy(at[key]) for _ in range(chance.randint(1, 30))])
    elif change == 2 and isinstance(at, dict):
        at[chance.choice(keys)] = deepcopy(at[key])
    elif change == 3:
        at[key] = chance.choice(TIMES)
    else:
        at[key] = deepcopy(chance.choice(WRONG))


def _mutated_protobuf(chance: random.Random, start: bytes) -> bytes:
    """Bytes changed, cut, doubled or swapped; half of the changes hit tags and lengths, which are small numbers."""
    data = bytearray(start)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) or 1)
        change = chance.randrange(4)
        if change == 0 and data:
            data[at] = chance.randrange(256)
        elif change == 1 and data:
            data[at] ^= 1 << chance.randrange(8)
        elif change == 2:
            data[at:at] = data[at : at + chance.randint(1, 40)]
        else:
            del data[at : at + chance.randint(1, 12)]
    return _torn(chance, bytes(data)) if chance.random() < 0.1 else bytes(data)


def _torn(chance: random.Random, body: bytes) -> bytes:
    return body[: chance.randrange(len(body) + 1)]


async def fuzz(count: int, *, seed: int = 0) -> Counter[int]:
    """Post `count` mutated bodies. Statuses by number; raises AssertionError at the first that breaks a promise."""
    log = MemoryRecordLog()
    await log.start()
    keys = MemoryKeys()
    key, ring = keys.create(Scope.INGEST), ring_of(keys)
    await ring.refresh()
    app = create_app(GatewaySettings(), log, keys=ring, clock_us=lambda: make.START_US)
    statuses: Counter[int] = Counter()
    transport, known = httpx.ASGITransport(app), {"x-api-key": key}
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=known) as client:
        for at, (body, headers) in enumerate(bodies(seed, count)):
            answer = await client.post("/v1/traces", content=body, headers=headers)
            assert answer.status_code < 500, f"seed {seed}, body {at}: {answer.status_code}"
            statuses[answer.status_code] += 1
            for message in log.messages:
                _, notes = codec.read_record(message.value)
                assert not notes.unknown
            log.messages.clear()
    return statuses


if __name__ == "__main__":
    print(asyncio.run(fuzz(int(sys.argv[1]), seed=random.randrange(2**32))))  # noqa: T201 - a command's answer
