"""What happens to our own machines: processes killed, a slow database, services that are down, clocks and keys that are wrong."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web

from backend import readiness
from kernel import http
from kernel.config import ConfigError, load
from kernel.outbox import Topic
from kernel.worker import Worker
from payments import asking, handlers
from payments.models import Attempt
from payments.settings import AlipaySettings, WeChatPaySettings
from tests.payments.conftest import events
from tests.payments.scenarios.phone import api
from tests.payments.scenarios.stage import HEARD_BY_NOBODY
from tests.sandbox.alipay_caller import bank as alipay_bank
from tests.sandbox.wechat_pay_caller import bank as wechat_bank
from tests.services import free_port

ROOT = Path(__file__).parents[3]


# -- 9 and 10: killed with SIGKILL


class Doomed:
    """A second process of ours over the same database, about to be killed at a chosen moment."""

    def __init__(self, moment: str, url: str, lines: dict, where: str) -> None:
        self.arguments = (moment, url, json.dumps(lines), where)

    async def start(self) -> None:
        command = (sys.executable, "-m", "tests.payments.scenarios.killed_child", *self.arguments)
        self.process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)

    async def until_listening(self, port: int) -> None:
        for _ in range(1000):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise TimeoutError("the child does not listen")

    async def was_killed(self) -> bool:
        return await asyncio.wait_for(self.process.wait(), 60) == -signal.SIGKILL


async def test_s09_killed_between_commit_and_send(stage, database_url):
    bill_no = await stage.issue()
    child = Doomed("sending", database_url, stage.partner.environment(), bill_no)
    await child.start()
    assert await child.was_killed()
    attempt = await Attempt.get()
    assert attempt.state == "sending"
    await stage.tick()
    assert await stage.heard("query") == [], "so young a row may be another process's live call"
    await stage.advance(seconds=16)
    await stage.tick()
    (order,) = (await stage.control("GET", "/orders"))["orders"]
    assert (order["out_trade_no"], order["times_created"]) == (attempt.payment_no, 1)
    await stage.pay(attempt.payment_no)
    await stage.deliver()
    assert (await stage.bill(bill_no)).state == "paid"


@pytest.mark.parametrize(("moment", "bill_state"), [("stored", "open"), ("posting", "open"), ("settled", "paid")])
async def test_s10_killed_before_the_notice_was_acknowledged(stage, database_url, moment, bill_state):
    """After it was stored, in the middle of settling, and after the commit that made it paid."""
    earlier = 1 if moment == "settled" else 0
    for _ in range(earlier):
        await stage.paid()  # from the second payment on a notice may be settled where it is stored
    _, view = await stage.waiting()
    await stage.pay(view.payment_no, notify=False)
    port = free_port()
    child = Doomed(moment, database_url, stage.partner.environment(), str(port))
    await child.start()
    await child.until_listening(port)
    wish = {"event_id": "EV-REPEATED", "url": f"http://127.0.0.1:{port}/api/v1/callbacks/wechat-pay"}
    assert (await stage.notify(view.payment_no, **wish))["status"] == 0
    assert await child.was_killed()
    assert (await stage.bill(view.bill_no)).state == bill_state
    assert (await stage.notify(view.payment_no, event_id="EV-REPEATED"))["status"] == 204
    await stage.advance(seconds=90)  # what the dead worker held is free again
    await stage.deliver()
    assert await stage.states(view) == ("paid", "paid")
    assert len(await events("bill.paid")) == earlier + 1


# -- 61 and 62: the database is slow, the push service is down


@contextlib.asynccontextmanager
async def nobody_can_write(url: str):
    """Somebody holds the inbox (PostgreSQL) or the file (SQLite)."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite://"), isolation_level=None)) as held:
            held.execute("BEGIN IMMEDIATE")
            yield
            held.execute("ROLLBACK")
        return
    held = await asyncpg.connect(url)
    async with held.transaction():
        await held.execute("LOCK TABLE kernel_inbox IN ACCESS EXCLUSIVE MODE")
        yield
    await held.close()


async def tries(stage, view) -> list[dict]:
    """How often the channel told of a payment, and what we answered."""
    return (await stage.order(view.payment_no))["notices"][0]["tries"]


async def test_s61_the_database_is_slow_while_notices_arrive(stage, database_url):
    """Through the real API, whose deadline answers in time; here one second stands for its five, and 2.5 for ten."""
    views = [(await stage.waiting())[1] for _ in range(3)]
    async with api(deadline_seconds=1) as url:
        await stage.config(notify_url=f"{url}/api/v1/callbacks/wechat-pay", time_scale=0.05)
        async with nobody_can_write(database_url):
            for view in views:
                await stage.pay(view.payment_no)
            await asyncio.sleep(2.5)
        async with asyncio.timeout(30):
            while any([[one["status"] for one in (await tries(stage, view))[-1:]] != [204] for view in views]):
                await asyncio.sleep(0.1)
        await stage.config(notify_url=None, time_scale=0)
    for view in views:
        *refused, taken = await tries(stage, view)
        assert {one["status"] // 100 for one in refused} == {5}
        assert max(one["elapsed_ms"] for one in (*refused, taken)) < 5000
    await stage.deliver()
    assert [await stage.states(view) for view in views] == [("paid", "paid")] * 3


class Pushes:
    """A push service that can be down, and its subscriber on our side."""

    def __init__(self) -> None:
        self.down, self.tries, self.told = True, 0, []

    async def take(self, request: web.Request) -> web.Response:
        self.tries += 1
        if self.down:
            return web.Response(status=503)
        self.told.append(await request.text())
        return web.Response()

    async def send(self, delivery) -> None:
        answer = await self.partner.request("POST", "/pushes", body=delivery.payload["bill_no"].encode())
        if answer.status != 200:
            raise ConnectionError("the push service is down")

    async def work(self) -> None:
        topics = [*handlers.TOPICS, Topic(name="phone.push", handler=self.send)]
        listening = HEARD_BY_NOBODY | {"bill.paid": ("phone.push",)}
        await Worker(topics=topics, subscriptions=listening).run_until_idle()


@pytest.fixture
async def pushes():
    service, app = Pushes(), web.Application()
    app.router.add_post("/pushes", service.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service.partner = http.Partner("pushes", f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}")
    yield service
    await runner.cleanup()


async def test_s62_the_push_service_is_down_for_an_hour_after_the_payment(stage, pushes):
    _, view = await stage.waiting()
    await stage.pay(view.payment_no)
    await stage.control("POST", "/settle")
    for _ in range(12):
        await pushes.work()
        await stage.advance(minutes=5)
    assert await stage.states(view) == ("paid", "paid")
    assert pushes.tries >= 3 and pushes.told == []
    pushes.down = False
    for _ in range(3):
        await stage.advance(minutes=15)
        await pushes.work()
    assert pushes.told == [view.bill_no]


# -- 63 and 64: our clock and our keys


async def test_s63_our_clock_is_six_minutes_off(stage):
    """Nothing we send is taken and nothing we hear is believed; who runs the service reads by how much the clock is wrong."""
    partner = [stage.partner.url]
    assert await readiness.clock_state(partner) == "ok"
    _, known = await stage.waiting()
    await stage.control("POST", "/clock", {"offset_s": -360})
    assert (await stage.notify(known.payment_no))["status"] == 401
    _, view = await stage.waiting()
    assert await stage.states(view) == ("open", "unknown")
    assert "快 36" in await readiness.clock_state(partner)
    await stage.control("POST", "/clock", {"offset_s": 300})
    assert "慢 " in await readiness.clock_state(partner)
    await stage.control("POST", "/clock", {"offset_s": 0})
    await asking.work_on(view.payment_no)
    assert await stage.states(view) == ("open", "pending")


BROKEN = {
    "missing": lambda path: path.unlink(),
    "no key": lambda path: path.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
    "empty": lambda path: path.write_bytes(b""),
    "world-readable": lambda path: path.chmod(0o644),
}
SECRETS = [
    (wechat_bank, WeChatPaySettings, "WECHATPAY_MERCHANT_KEY_FILE"),
    (wechat_bank, WeChatPaySettings, "WECHATPAY_APIV3_KEY_FILE"),
    (alipay_bank, AlipaySettings, "ALIPAY_APP_KEY_FILE"),
]


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize(("bank", "settings", "name"), SECRETS, ids=[name for _, _, name in SECRETS])
async def test_s64_a_key_file_that_cannot_be_used_is_named(tmp_path, bank, settings, name, how):
    async with bank(tmp_path) as partner:
        lines = partner.environment()
    load(settings, environ=lines)
    BROKEN[how](Path(lines[name]))
    with pytest.raises(ConfigError) as refused:
        load(settings, environ=lines)
    assert name.removesuffix("_FILE") in str(refused.value)
    assert "BEGIN" not in str(refused.value)


async def test_s64_a_process_refuses_to_start_and_names_every_file_at_once(tmp_path):
    async with wechat_bank(tmp_path / "wechat") as wechat, alipay_bank(tmp_path / "alipay") as alipay:
        lines = wechat.environment() | alipay.environment()
    names = ("WECHATPAY_MERCHANT_KEY_FILE", "ALIPAY_APP_KEY_FILE")
    for name in names:
        Path(lines[name]).chmod(0o644)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "miniprogram_api", cwd=ROOT, env={"PATH": os.environ["PATH"]} | lines,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
    assert process.returncode == 2
    assert "Traceback" not in said
    assert all(name in said for name in names), said
