"""Refunds and e-receipts of the finance platform through their ports: every answer, every silence, what a region lacks."""

from dataclasses import replace

import pytest

from payments import asking, runtime
from payments.gateways.receipt_port import GivesReceipts, ReceiptOrder, ReceiptOutcome
from payments.gateways.refund_port import RefundDraft, RefundOrder, RefundOutcome
from tests.payments.treasury import UNIT, treasury

LOST = (
    {"drop": "after"},
    {"drop": "before"},
    {"body": "garbage"},
    {"signature": "other_key"},
    {"signature": "stale"},
    {"code": "29999"},
)


@pytest.fixture
async def county(tmp_path, database):
    async with treasury(tmp_path) as place:
        await place.control("POST", "/config", {"auto_refund": None})
        yield place


async def sold(place) -> tuple[str, str]:
    view = await place.start(await place.issue())
    payment = await place.pay(view.payment_no, notify=False)
    await asking.work_on(view.payment_no)
    return view.payment_no, payment["txn"]


async def refund_order(place, number: str = "REFUND1", fen: int = 400) -> RefundOrder:
    payment_no, txn = await sold(place)
    draft = RefundDraft(
        refund_no=number,
        payment_no=payment_no,
        channel_txn_id=txn,
        amount_fen=fen,
        paid_fen=1000,
        currency="CNY",
        reason="事项撤回",
    )
    body = runtime.gateway("unified").refunds.body(draft)
    return RefundOrder(
        refund_no=number, payment_no=payment_no, channel_txn_id=txn, amount_fen=fen, currency="CNY", body=body
    )


async def test_a_refund_is_asked_for_once_and_asked_about_until_it_is_there(county):
    port, order = runtime.gateway("unified").refunds, await refund_order(county)
    assert (await port.query(order)).outcome is RefundOutcome.NOT_FOUND
    for _ in range(2):
        found = await port.send(order)
        assert (found.outcome, found.amount_fen, found.proven) == (RefundOutcome.PROCESSING, 400, True)
    over_there = (await county.control("GET", "/refunds"))["refunds"]
    assert len(over_there) == 1 and over_there[0]["times_asked"] == 2 and over_there[0]["reason"] == "事项撤回"
    await county.control("POST", "/refunds/REFUND1/finish", {"state": "SUCCESS"})
    done = await port.query(order)
    assert (done.outcome, done.channel_refund_id) == (RefundOutcome.SUCCESS, over_there[0]["id"])
    assert done.occurred_at is not None


async def test_a_refund_that_failed_over_there_is_closed(county):
    port, order = runtime.gateway("unified").refunds, await refund_order(county)
    await port.send(order)
    await county.control("POST", "/refunds/REFUND1/finish", {"state": "FAILED"})
    assert (await port.query(order)).outcome is RefundOutcome.CLOSED


async def test_a_refusal_concludes_and_silence_does_not(county):
    port, order = runtime.gateway("unified").refunds, await refund_order(county, fen=2000)
    refused = await port.send(order)
    assert (refused.outcome, refused.reason, refused.proven) == (RefundOutcome.REFUSED, "18014", True)
    good = await refund_order_again(order)
    for effect in LOST:
        await county.fault("8990", effect)
        assert (await port.send(good)).outcome is RefundOutcome.NO_REPLY
        await county.fault("8991", effect)
        assert (await port.query(good)).outcome is RefundOutcome.NO_REPLY
    assert len((await county.control("GET", "/refunds"))["refunds"]) == 1
    await county.partner.listener.stop()
    assert (await port.send(good)).outcome is RefundOutcome.NOT_SENT


async def refund_order_again(order: RefundOrder) -> RefundOrder:
    draft = RefundDraft(
        refund_no="REFUND2", payment_no=order.payment_no, channel_txn_id=order.channel_txn_id, amount_fen=400, paid_fen=1000,
        currency="CNY", reason="事项撤回",
    )  # fmt: skip
    body = runtime.gateway("unified").refunds.body(draft)
    return replace(order, refund_no="REFUND2", amount_fen=400, body=body)


async def test_a_region_without_refunds_forbids_them_before_any_call(tmp_path, database):
    async with treasury(tmp_path, face="province") as place:
        gateway = runtime.gateway("unified")
        assert gateway.refunds.capabilities.most_parts == 0
        order = RefundOrder(refund_no="R", payment_no="P", channel_txn_id="T", amount_fen=1, currency="CNY", body=b"{}")
        assert (await gateway.refunds.send(order)).outcome is RefundOutcome.REFUSED
        assert (await gateway.refunds.query(order)).outcome is RefundOutcome.NO_REPLY
        assert isinstance(gateway, GivesReceipts) and gateway.receipts is None
        assert (await place.control("GET", "/requests"))["requests"] == []


async def receipt_order(place) -> ReceiptOrder:
    payment_no, txn = await sold(place)
    return ReceiptOrder(
        request_no="RECEIPT1", payment_no=payment_no, channel_txn_id=txn, unit_code=UNIT, amount_fen=1000
    )


async def test_the_life_of_a_receipt(county):
    port, order = runtime.gateway("unified").receipts, await receipt_order(county)
    assert (await port.query(order)).outcome is ReceiptOutcome.NOT_FOUND
    first, second = await port.issue(order), await port.issue(order)
    assert first == second and first.outcome is ReceiptOutcome.ISSUED
    assert (first.code, len(first.number), len(first.check_code)) == ("62010126", 10, 6) and first.url.startswith(
        "http://"
    )
    assert (await port.check_reversible(order)).outcome is ReceiptOutcome.ISSUED
    await county.control("POST", f"/receipts/{first.number}/exchange-to-paper", {})
    assert (await port.query(order)).outcome is ReceiptOutcome.ON_PAPER
    for call in (port.check_reversible(order), port.reverse(order, "退款")):
        assert (await call).outcome is ReceiptOutcome.ON_PAPER
    await county.control("POST", f"/receipts/{first.number}/void-paper", {})
    done = await port.reverse(order, "退款")
    assert done.outcome is ReceiptOutcome.REVERSED and done.red_number not in ("", first.number)
    assert (await port.query(order)).outcome is ReceiptOutcome.REVERSED
    assert len((await county.control("GET", "/receipts"))["receipts"]) == 1


@pytest.mark.parametrize("effect", LOST)
async def test_a_silence_of_the_receipt_desk_concludes_nothing(county, effect):
    port, order = runtime.gateway("unified").receipts, await receipt_order(county)
    for call in ("8999", "8981"):
        await county.fault(call, effect)
        assert (await port.issue(order)).outcome is ReceiptOutcome.NO_REPLY
    assert (await port.issue(order)).outcome is ReceiptOutcome.ISSUED
    await county.fault("8983", effect)
    assert (await port.check_reversible(order)).outcome is ReceiptOutcome.NO_REPLY


async def test_a_reversal_whose_answer_was_lost_is_looked_up(county):
    port, order = runtime.gateway("unified").receipts, await receipt_order(county)
    await port.issue(order)
    await county.fault("8984", {"drop": "after"})
    assert (await port.reverse(order, "退款")).outcome is ReceiptOutcome.REVERSED


async def test_a_receipt_of_another_amount_is_refused(county):
    port, order = runtime.gateway("unified").receipts, await receipt_order(county)
    await port.issue(order)
    refused = await port.issue(replace(order, amount_fen=500))
    assert (refused.outcome, refused.reason) == (ReceiptOutcome.REFUSED, "18102")
