"""The real API in this process, and a phone that is logged in: what people and channels reach of the product."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import aiohttp
from sanic import Sanic

from backend.identity.models import Account, Session
from kernel import clock, crypto
from kernel.cache import RedisSettings
from kernel.limits import Limiter
from miniprogram_api.app import create_app
from tests.miniprogram_api.test_connections import SETTINGS
from tests.payments.scenarios.stage import OPENID, OWNER, nothing
from tests.services import free_port


@asynccontextmanager
async def api(*, deadline_seconds: float = SETTINGS.deadline_seconds) -> AsyncIterator[str]:
    """Every route of the product on a free port, over the database of the test."""
    Sanic.test_mode = True
    settings = replace(SETTINGS, deadline_seconds=deadline_seconds)
    app = create_app(settings, name=f"scenario-{free_port()}", start=nothing, stop=nothing)
    app.ctx.cycle.limiter = Limiter(RedisSettings(url=None))
    listening = socket.create_server(("127.0.0.1", 0))
    server = await app.create_server(sock=listening, return_asyncio_server=True, access_log=False)
    await server.startup()
    await server.start_serving()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        await server.close()


async def log_in() -> str:
    """The access token of the owner of every bill on the stage."""
    account = await Account.create(
        ref=OWNER,
        openid_index=crypto.blind_index(OPENID, purpose="identity_account.openid"),
        openid_sealed=crypto.seal(OPENID, context=f"identity_account.openid:{OWNER}"),
    )
    token, end = crypto.new_token(), clock.now() + timedelta(days=1)
    await Session.create(
        account_id=account.id, role="citizen", access_hash=crypto.token_hash(token), last_used_at=clock.now(),
        refresh_hash=crypto.token_hash(crypto.new_token()), idle_until=end, absolute_until=end,
    )  # fmt: skip
    return token


@dataclass
class Phone:
    """One phone with its login."""

    session: aiohttp.ClientSession
    url: str
    token: str

    async def tap(self, bill_no: str, *, key: str, channel: str = "wechat_jsapi") -> tuple[int, bytes]:
        """Taps "pay" under one idempotency key: status and the exact bytes of the answer."""
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": key}
        address = f"{self.url}/api/v1/bills/{bill_no}/payments"
        async with self.session.post(address, json={"channel": channel}, headers=headers) as answer:
            return answer.status, await answer.read()
