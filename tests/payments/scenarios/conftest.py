"""The stages of the failure scenarios, each over a fresh database of the engine under test."""

import pytest

from tests.payments.scenarios.stage import callback_door, staged
from tests.payments.scenarios.street import opened


@pytest.fixture
async def door():
    async with callback_door() as url:
        yield url


@pytest.fixture
async def stage(tmp_path, database, door):
    """WeChat Pay alone."""
    async with staged(tmp_path, door) as place:
        yield place


@pytest.fixture
async def street(tmp_path, database, door):
    """Alipay, and WeChat Pay across the street."""
    async with opened(tmp_path, door) as place:
        yield place
