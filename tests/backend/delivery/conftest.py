"""One small county per test."""

import pytest

from tests.backend.delivery import world as county


@pytest.fixture
async def world(database, frozen_clock, tmp_path):
    return await county.make(tmp_path)
