"""Notices that come often, early, late or together with the answer to a question: one payment stays one payment."""

import asyncio
from datetime import timedelta

import pytest

from kernel import clock, db
from payments import asking
from tests.payments.conftest import events
from tests.payments.scenarios.stage import callback_door, work


async def settlements() -> int:
    return len(await db.fetch("SELECT id FROM payments_ledger_txn WHERE kind = 'pay'"))


async def test_s01_the_same_notice_fifty_times_at_once(stage):
    await stage.paid()  # from the second payment on a notice may be settled where it is stored
    _, view = await stage.waiting()
    await stage.pay(view.payment_no, notify=False)
    answers = await stage.notices(view.payment_no, copies=50, parallel=True, event_id="EV-THE-SAME")
    assert [answer["status"] for answer in answers] == [204] * 50
    await stage.deliver()
    assert await stage.states(view) == ("paid", "paid")
    assert (await settlements(), len(await events("bill.paid"))) == (2, 2)


async def test_s02_notice_and_query_at_the_same_instant(stage):
    await stage.paid()
    waiting = [(await stage.waiting())[1] for _ in range(5)]
    for view in waiting:
        await stage.pay(view.payment_no, notify=False)
    numbers = [view.payment_no for view in waiting]
    answers = await asyncio.gather(*map(stage.notify, numbers), *map(asking.work_on, numbers), work())
    assert [answer["status"] for answer in answers[:5]] == [204] * 5
    await stage.deliver()
    assert [await stage.states(view) for view in waiting] == [("paid", "paid")] * 5
    assert (await settlements(), len(await events("bill.paid"))) == (6, 6)


async def test_s03_the_notice_comes_before_the_answer_to_the_order(stage):
    """The order is paid and settled here while we still wait to hear that it was made; that answer is no news any more."""
    await stage.fault("jsapi", {"hold": "until_notice"})

    async def payer() -> None:
        while not (orders := (await stage.control("GET", "/orders"))["orders"]):
            await asyncio.sleep(0.01)
        await stage.pay(orders[0]["out_trade_no"])

    async with callback_door(before_answer=work) as url:
        await stage.config(notify_url=f"{url}/api/v1/callbacks/wechat-pay")
        (_, view), _ = await asyncio.gather(stage.waiting(), payer())
    assert (view.status, view.client_action) == ("paid", None)
    assert await stage.states(view) == ("paid", "paid")
    assert len(await stage.heard("query")) == 0


async def test_s06_the_notice_is_twenty_three_hours_late(stage):
    _, view = await stage.waiting()
    await stage.pay(view.payment_no, notify=False)
    paid_at = clock.now()
    await stage.advance(hours=23)
    assert (await stage.notify(view.payment_no))["status"] == 204
    await stage.deliver()
    assert await stage.states(view) == ("paid", "paid")
    attempt = await stage.attempt(view.payment_no)
    assert abs(attempt.paid_at - paid_at) < timedelta(seconds=5)
    (booked,) = await db.fetch("SELECT occurred_at FROM payments_ledger_txn WHERE kind = 'pay'")
    assert db.instant(booked["occurred_at"]) == attempt.paid_at


@pytest.mark.parametrize("tapped_seconds_ago", [4, 40, 250, 500])
async def test_s07_the_notice_never_comes(stage, tapped_seconds_ago):
    """While she is in the cashier we ask by ourselves: half a minute after she paid it is settled."""
    await stage.config(time_scale=1)
    _, view = await stage.waiting()
    for _ in range(tapped_seconds_ago // 5):
        await stage.advance(seconds=5)
        await stage.tick()
    await stage.pay(view.payment_no, notify=False)
    for _ in range(6):  # the timer runs every five seconds
        await stage.advance(seconds=5)
        await stage.tick()
    assert await stage.states(view) == ("paid", "paid")
