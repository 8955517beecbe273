"""Fixtures of the identity tests: partners that obey, and a citizen who has just logged in."""

import pytest

from backend.identity import login
from tests.backend.identity import fakes


@pytest.fixture
def partners(database, frozen_clock):
    wechat, register = fakes.configure()
    return wechat, register


@pytest.fixture
def register(partners):
    return partners[1]


@pytest.fixture
async def citizen(partners):
    """An Actor of level 0, logged in a moment ago."""
    answer = await login.login_wechat(code="code-openid-of-wang")
    return await login.authenticate(token=answer.access_token)
