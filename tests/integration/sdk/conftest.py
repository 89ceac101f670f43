"""The fake gateway of the SDK's unit tests, for whole servers in processes of their own."""

from collections.abc import Iterator

import pytest

from tests.unit.sdk.fake_gateway import FakeGateway


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    fake = FakeGateway()
    yield fake
    fake.close()
