"""Many at once: one order, one settlement, one answer."""

import asyncio

from payments import janitor, settlement
from payments.models import Attempt
from payments.states import AttemptState, BillState
from tests.payments.conftest import events


async def test_ten_taps_with_ten_keys_make_one_order(books):
    bill_no = await books.issue()
    answers = await asyncio.gather(*(books.start(bill_no, key=f"tap-{n}") for n in range(10)))
    assert len({a.payment_no for a in answers}) == 1
    assert len(books.channel.orders) == 1


async def test_two_workers_ask_about_each_attempt_once(books):
    numbers = [(await books.start(await books.issue(key=f"fee:{n}"))).payment_no for n in range(20)]
    books.clock.advance(seconds=7)
    await asyncio.gather(janitor.check_attempts(), janitor.check_attempts())
    asked = [no for call, no in books.channel.calls if call == "query"]
    assert sorted(asked) == sorted(numbers)


async def test_a_silent_channel_is_not_asked_about_everything_at_once(books):
    for n in range(20):
        books.channel.faults["prepare"] = ["before"]
        await books.start(await books.issue(key=f"fee:{n}"))
    books.clock.advance(seconds=7)
    books.channel.faults["query"] = ["silent"] * 100
    await janitor.check_attempts()
    assert books.channel.count("query") == 8
    books.channel.faults["query"] = []
    await janitor.check_attempts()
    books.clock.advance(seconds=40)
    await janitor.check_attempts()
    assert await Attempt.filter(state=AttemptState.PENDING).count() == 20


async def test_two_orders_of_one_bill_settle_at_the_same_instant(books):
    bill_no = await books.issue()
    first = await books.start(bill_no)
    row = await books.attempt(first.payment_no)
    row.active_slot = f"{row.bill_id}:wechat:mother"
    await row.save()
    second = await books.start(bill_no)
    for view in (first, second):
        books.channel.pay(view.payment_no)
    effects = await asyncio.gather(
        *(settlement.apply_evidence(books.channel.notice(v.payment_no)) for v in (first, second))
    )
    assert sorted(effects) == ["settled", "surplus"]
    assert (await books.bill(bill_no)).state == BillState.PAID
    assert len(await events("bill.paid")) == 1
    assert len(await events("bill.refund_due")) == 1
