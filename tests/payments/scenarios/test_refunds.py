"""Refunds when something goes wrong, against the real wire: numbers as in docs/scenarios.md."""

import asyncio

import pytest

import payments
from payments import refund_janitor
from payments.four_eyes import SamePerson
from payments.models import Difference, PaymentEvent, Refund
from payments.refunds import RefundNotPossible, RefundRefusedByChannel
from tests.payments.conftest import events
from tests.sandbox.wechat_pay_caller import Merchant

REFUNDS = "/v3/refund/domestic/refunds"


async def differences() -> list[str]:
    return [row.class_name for row in await Difference.all().order_by("id")]


async def test_s04_refund_notice_before_the_payment_notice(stage, door):
    """Somebody refunds on the merchant site before we heard of the payment: first the payment is settled, then the refund."""
    bill_no = await stage.issue()
    view = await stage.start(bill_no)
    await stage.pay(view.payment_no, notify=False)
    body = {
        "out_trade_no": view.payment_no, "out_refund_no": "SITE-1", "notify_url": f"{door}/api/v1/callbacks/wechat-pay",
        "amount": {"refund": 1000, "total": 1000, "currency": "CNY"},
    }  # fmt: skip
    assert (await Merchant(stage.partner).call("POST", REFUNDS, body)).status == 200
    await stage.deliver()
    assert (await stage.bill(bill_no)).state == "paid"
    assert await differences() == ["REFUND_CHANNEL_ONLY"]
    await payments.adopt_refund(
        refund_no="SITE-1", payment_no=view.payment_no, reason="商户平台手工退款", requested_by="王会计"
    )
    with pytest.raises(SamePerson):
        await payments.approve_refund(refund_no="SITE-1", approved_by="王会计")
    await payments.approve_refund(refund_no="SITE-1", approved_by="李主任")
    await stage.settle_everything()
    assert (await stage.bill(bill_no)).state == "refunded"
    assert (await stage.attempt(view.payment_no)).state == "refunded"
    assert (await stage.there("SITE-1"))["times_asked"] == 1
    assert (await Difference.get()).state == "resolved"


async def test_s05_two_refund_notices_in_reversed_order(stage):
    _, payment_no = await stage.paid()
    refund_no = await stage.ask_back(payment_no)
    await stage.tick()
    await stage.deliver()
    assert (await stage.refund()).state == "success"
    late = {
        "about": {"out_refund_no": refund_no},
        "event": "REFUND.ABNORMAL",
        "override": {"refund_status": "PROCESSING"},
    }
    await stage.control("POST", "/notifications", late)
    await stage.deliver()
    assert (await stage.refund()).state == "success"


@pytest.mark.parametrize("proof", ["other_key", "signtest", "none"])
async def test_s14_the_answer_to_a_refund_is_not_proven(stage, proof):
    await stage.config(auto_refund=None)
    _, payment_no = await stage.paid()
    await stage.fault("refund", {"signature": proof})
    refund_no = await stage.ask_back(payment_no)
    await refund_janitor.check_refunds()
    assert (await stage.refund()).state == "unknown"
    await stage.finish(refund_no, "SUCCESS", notify=False)
    await stage.settle_everything()
    assert (await stage.refund()).state == "success"
    assert (await stage.there(refund_no))["times_asked"] == 1


async def told_of_the_way_back(bill_no: str) -> None:
    """Others heard once that money is owed back and once that it is back: they tell the payer."""
    for topic in ("bill.refund_due", "refund.succeeded"):
        assert [event["payload"]["bill_no"] for event in await events(topic)] == [bill_no]


async def test_s29_money_after_the_bill_expired(stage):
    bill_no = await stage.issue(days=0.01)
    view = await stage.start(bill_no)
    await stage.advance(minutes=20)
    await stage.settle_everything()
    assert (await stage.bill(bill_no)).state == "expired"
    await stage.pay(view.payment_no, force=True)
    await stage.settle_everything()
    refund = await stage.refund()
    assert (refund.cause, refund.state, refund.amount_fen) == ("late", "success", 1000)
    await told_of_the_way_back(bill_no)
    assert ((await stage.shown(bill_no)).status, (await stage.bill(bill_no)).state) == ("expired", "expired")


async def test_s29_money_after_the_bill_was_withdrawn(stage):
    bill_no = await stage.issue()
    view = await stage.start(bill_no)
    await stage.void(bill_no)
    await stage.pay(view.payment_no)
    await stage.settle_everything()
    refund = await stage.refund()
    assert (refund.cause, refund.state) == ("withdrawal", "success")
    await told_of_the_way_back(bill_no)
    shown = await stage.shown(bill_no)
    assert ((await stage.bill(bill_no)).state, shown.status) == ("withdrawn", "refunded")
    assert shown.refunds[0].label == "已原路退回"


async def test_s29_a_paid_bill_whose_matter_is_given_up(stage):
    bill_no, payment_no = await stage.paid()
    await stage.void(bill_no)
    assert (await stage.shown(bill_no)).status == "refunding"
    await stage.settle_everything()
    assert (await stage.bill(bill_no)).state == "refunded"
    assert (await stage.shown(bill_no)).status == "refunded"
    assert (await stage.attempt(payment_no)).state == "refunded"
    assert await payments.refunds_unfinished() == []


async def test_s31_two_phones_pay_one_bill(stage):
    bill_no = await stage.issue()
    first, second = await stage.start(bill_no), await stage.start(bill_no)
    assert first.payment_no != second.payment_no
    await asyncio.gather(stage.pay(first.payment_no), stage.pay(second.payment_no))
    await stage.deliver()
    assert (await stage.shown(bill_no)).status == "duplicated"
    await stage.settle_everything()
    assert (await stage.bill(bill_no)).state == "paid"
    assert (await stage.shown(bill_no)).status == "paid"
    refund = await stage.refund()
    assert (refund.cause, refund.state) == ("surplus", "success")
    assert len(await events("bill.paid")) == 1
    await told_of_the_way_back(bill_no)


async def test_s35_ten_refunds_of_thirty_on_a_hundred_at_once(stage):
    bill_no, payment_no = await stage.paid()
    asked = {"payment_no": payment_no, "amount_fen": 300, "reason": "收错了", "requested_by": "王会计"}
    answers = await asyncio.gather(*(payments.request_refund(**asked) for _ in range(10)), return_exceptions=True)
    accepted = [answer for answer in answers if isinstance(answer, str)]
    assert len(accepted) == await Refund.all().count() == 3
    assert {(type(a), a.status) for a in answers if not isinstance(a, str)} == {(RefundNotPossible, 409)}
    for refund_no in accepted:
        await payments.approve_refund(refund_no=refund_no, approved_by="李主任")
    await stage.settle_everything()
    assert [row.state for row in await Refund.all()] == ["success"] * 3
    assert (await stage.bill(bill_no)).state == "part_refunded"


async def test_s36_refund_times_out_and_was_done(stage):
    _, payment_no = await stage.paid()
    await stage.fault("refund", {"drop": "after"})
    refund_no = await stage.ask_back(payment_no)
    await refund_janitor.check_refunds()
    assert (await stage.refund()).state == "unknown"
    await stage.settle_everything()
    assert (await stage.refund()).state == "success"
    assert (await stage.there(refund_no))["times_asked"] == 1


async def test_s37_refund_times_out_and_was_not_done(stage):
    _, payment_no = await stage.paid()
    await stage.fault("refund", {"drop": "before"})
    refund_no = await stage.ask_back(payment_no)
    await stage.settle_everything()
    assert ((await stage.refund()).state, (await stage.refund()).sends) == ("success", 1)
    there = await stage.there(refund_no)
    assert (there["times_asked"], len(there["body_sha256"])) == (1, 1)
    assert await Refund.all().count() == 1


async def test_s38_a_refund_is_closed_and_a_new_number_is_allowed(stage):
    await stage.config(auto_refund=None)
    bill_no, payment_no = await stage.paid()
    refund_no = await stage.ask_back(payment_no)
    await stage.tick()
    await stage.finish(refund_no, "CLOSED")
    await stage.deliver()
    assert (await stage.refund(refund_no)).state == "failed"
    assert [row.refund_no for row in await payments.refunds_for_people()] == [refund_no]
    await stage.config(auto_refund="SUCCESS")
    again = await payments.retry_refund(refund_no=refund_no, requested_by="王会计")
    assert again != refund_no
    await payments.approve_refund(refund_no=again, approved_by="李主任")
    await stage.settle_everything()
    assert (await stage.refund(again)).state == "success"
    assert (await stage.bill(bill_no)).state == "refunded"
    assert await payments.refunds_for_people() == []


async def abnormal(stage) -> tuple[str, str]:
    await stage.config(auto_refund="ABNORMAL")
    bill_no, payment_no = await stage.paid()
    refund_no = await stage.ask_back(payment_no)
    await stage.settle_everything()
    assert (await stage.refund()).state == "abnormal"
    assert "会与您联系" in (await stage.shown(bill_no)).next_step
    return bill_no, refund_no


async def test_s39_an_abnormal_refund_is_paid_by_bank_by_two_people(stage):
    bill_no, refund_no = await abnormal(stage)
    acts = {"refund_no": refund_no, "document": "回单 17", "recorded_by": "王会计"}
    with pytest.raises(SamePerson):
        await payments.record_offline_refund(**acts, approved_by="王 会计")
    await payments.record_offline_refund(**acts, approved_by="李主任")
    assert (await stage.refund()).state == "success_offline"
    assert (await stage.bill(bill_no)).state == "refunded"
    assert (await stage.shown(bill_no)).refunds[0].label == "已线下退款"


@pytest.mark.parametrize(
    "card", [{}, {"bank_type": "ICBC_DEBIT", "account": "6222020200112233445", "holder": "张桂兰"}]
)
async def test_s39_an_abnormal_refund_is_sent_on(stage, card):
    bill_no, refund_no = await abnormal(stage)
    await payments.repair_abnormal_refund(refund_no=refund_no, actor="王会计", **card)
    assert (await stage.refund()).state == "processing"
    await stage.finish(refund_no, "SUCCESS")
    await stage.settle_everything()
    assert (await stage.refund()).state == "success"
    assert (await stage.bill(bill_no)).state == "refunded"


async def test_s40_the_balance_is_too_small_and_then_topped_up(stage):
    bill_no, payment_no = await stage.paid()
    await stage.config(balance_fen=1)
    refund_no = await stage.ask_back(payment_no)
    await refund_janitor.check_refunds()
    waiting = await stage.refund()
    assert (waiting.state, "NOT_ENOUGH" in waiting.last_error) == ("sending", True)
    await stage.config(balance_fen=100000)
    await stage.settle_everything()
    assert [row.refund_no for row in await Refund.all()] == [refund_no]
    assert (await stage.bill(bill_no)).state == "refunded"


async def test_s42_nobody_approves_what_he_asked_for(stage):
    _, payment_no = await stage.paid()
    refund_no = await payments.request_refund(payment_no=payment_no, reason="收错了", requested_by="王会计")
    with pytest.raises(SamePerson) as refused:
        await payments.approve_refund(refund_no=refund_no, approved_by="王会计 ")
    assert refused.value.status == 403
    await stage.settle_everything()
    assert (await stage.refund()).state == "requested"
    audit = await PaymentEvent.get(object_kind="refund", action="approve_refused")
    assert "王会计" in audit.note


async def test_s43_too_late_for_the_channel(stage):
    bill_no, payment_no = await stage.paid()
    await stage.advance(days=366)
    with pytest.raises(RefundRefusedByChannel):
        await payments.request_refund(payment_no=payment_no, reason="收错了", requested_by="王会计")
    refund_no = await payments.request_refund(
        payment_no=payment_no, reason="收错了", requested_by="王会计", way="offline"
    )
    await payments.approve_refund(refund_no=refund_no, approved_by="李主任")
    await stage.settle_everything()
    assert (await stage.refund()).state == "abnormal"
    await payments.record_offline_refund(
        refund_no=refund_no, document="回单 18", recorded_by="王会计", approved_by="李主任"
    )
    assert (await stage.bill(bill_no)).state == "refunded"
    assert (await stage.control("GET", "/refunds"))["refunds"] == []


async def test_s43_too_many_parts_and_too_soon_after_the_last(stage):
    _, payment_no = await stage.paid()
    await stage.config(time_scale=1, auto_refund=None)
    for _ in range(50):
        await stage.ask_back(payment_no, 10)
    with pytest.raises(RefundRefusedByChannel):
        await payments.request_refund(payment_no=payment_no, amount_fen=10, reason="第 51 次", requested_by="王会计")
    for sent in (1, 1, 2):
        await refund_janitor.check_refunds()
        assert await Refund.filter(state="processing").count() == sent
        await stage.advance(seconds=31)
    with pytest.raises(RefundNotPossible):
        await payments.request_refund(payment_no=payment_no, amount_fen=0, reason="零", requested_by="王会计")
