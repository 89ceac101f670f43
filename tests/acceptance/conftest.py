"""A pipeline of its own for every acceptance test."""

from collections.abc import Iterator

import pytest

from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack


@pytest.fixture
def pipeline(stack: Stack) -> Iterator[Pipeline]:
    running = Pipeline(stack)
    yield running
    running.close()
