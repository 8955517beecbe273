"""Failure scenarios of e-receipts: one on paper stops a refund before its call; a reversal that fails never undoes a refund."""

import pytest

import payments
from kernel import db
from payments import janitor, receipts, refund_janitor, refunds
from payments.models import Attempt, Difference, PaymentEvent, Refund
from payments.nontax_models import Receipt
from payments.receipt_states import ReceiptState
from payments.refund_states import RefundState
from tests.payments.treasury import treasury

_R = ReceiptState


@pytest.fixture
async def county(tmp_path, database, frozen_clock):
    async with treasury(tmp_path) as place:
        await place.shift(frozen_clock, 0)
        place.clock = frozen_clock
        yield place


async def sold(place, key: str = "fee:1") -> tuple[str, str]:
    """A bill paid by phone, with its e-receipt."""
    bill_no = await place.issue(key)
    view = await place.start(bill_no)
    await place.pay(view.payment_no)
    await place.settle_down()
    return bill_no, view.payment_no


async def receipt_of(payment_no: str, part: int = 1) -> Receipt:
    return await Receipt.get(attempt__payment_no=payment_no, part=part)


async def ask_back(payment_no: str, fen: int | None = None) -> str:
    number = await refunds.request_refund(
        payment_no=payment_no, amount_fen=fen, reason="多收了", requested_by="finance-a"
    )
    await refunds.approve_refund(refund_no=number, approved_by="finance-b")
    return number


async def tick(place, seconds: float = 61) -> None:
    """The timers of a minute: refunds are sent and asked about, receipts are worked."""
    for _ in range(3):
        await place.shift(place.clock, seconds)
        await place.control("POST", "/config", {"time_scale": 0})
        await refund_janitor.check_refunds()
        await place.control("POST", "/settle")
        await place.control("POST", "/config", {"time_scale": 1})
        await place.work()


async def over_there(place) -> list[dict]:
    return (await place.control("GET", "/receipts"))["receipts"]


async def test_a_paid_bill_has_one_receipt_and_the_payer_sees_it(county):
    bill_no, payment_no = await sold(county)
    (issued,) = await over_there(county)
    shown = (await payments.bill(owner_ref="owner-one", bill_no=bill_no)).payments[0].receipt
    assert (shown.status, shown.label, shown.amount_fen) == ("issued", "已开具", 1000)
    assert (shown.code, shown.number, shown.check_code) == (issued["code"], issued["number"], issued["check_code"])
    assert shown.url == issued["link"]
    assert (await payments.payment(owner_ref="owner-one", payment_no=payment_no)).receipt == shown
    await county.settle_down()
    assert len(await over_there(county)) == 1


async def test_what_is_not_paid_into_a_bill_gets_no_receipt(county):
    """Surplus goes back: a receipt over it would have to be reversed at once."""
    bill_no = await county.issue()
    view = await county.start(bill_no)
    await county.at_counter(bill_no)
    await county.settle_down()
    await county.pay(view.payment_no, force=True)
    await county.settle_down()
    assert [row.attempt_id for row in await Receipt.all()] == [(await Attempt.get(product="elsewhere")).id], (
        "the counter's money has one, the second payment has none"
    )


async def test_a_receipt_that_does_not_come_is_a_difference_until_it_does(county):
    await county.fault("8981", {"drop": "after"}, times=3)
    _, payment_no = await sold(county)
    assert (await receipt_of(payment_no)).state == _R.REQUESTED
    for _ in range(3):
        await county.shift(county.clock, 3700)
        await county.work()
    receipt = await receipt_of(payment_no)
    assert receipt.state == _R.ISSUED and len(await over_there(county)) == 1
    (difference,) = await Difference.filter(class_name=receipts.MISSING)
    assert (difference.state, difference.payment_no) == ("auto_fixed", payment_no)


# -- 44: the receipt was exchanged for paper, then somebody wants the money back ----------------------------------------


async def test_s44_a_receipt_on_paper_refuses_the_refund_before_any_call(county):
    bill_no, payment_no = await sold(county)
    receipt = await receipt_of(payment_no)
    await county.control("POST", f"/receipts/{receipt.number}/exchange-to-paper", {})
    with pytest.raises(receipts.ReceiptInTheWay) as refused:
        await refunds.request_refund(payment_no=payment_no, reason="多收了", requested_by="finance-a")
    assert "已换开纸质票据" in str(refused.value.detail) and refused.value.status == 409
    assert await Refund.all().count() == 0
    assert (await county.control("GET", "/refunds"))["refunds"] == []
    assert (await receipt_of(payment_no)).state == _R.EXCHANGED_TO_PAPER
    shown = await payments.bill(owner_ref="owner-one", bill_no=bill_no)
    assert (shown.status, shown.payments[0].receipt.label) == ("paid", "已换开纸质票据")
    # The paper comes back and is voided: now it may go.
    await county.control("POST", f"/receipts/{receipt.number}/void-paper", {})
    number = await ask_back(payment_no)
    await tick(county)
    assert (await Refund.get(refund_no=number)).state == RefundState.SUCCESS
    assert (await receipt_of(payment_no)).state == _R.REVERSED


async def test_s44_printed_between_request_and_send_the_refund_waits(county):
    """Looked at again immediately before the call: nothing is sent, a person sees why, and it goes on by itself afterwards."""
    _, payment_no = await sold(county)
    number = await ask_back(payment_no)
    receipt = await receipt_of(payment_no)
    await county.control("POST", f"/receipts/{receipt.number}/exchange-to-paper", {})
    await tick(county)
    refund = await Refund.get(refund_no=number)
    assert refund.state == RefundState.APPROVED and refund.last_error.startswith("电子票据已换开纸质票据")
    assert (await county.control("GET", "/refunds"))["refunds"] == []
    (difference,) = await Difference.filter(class_name=receipts.IN_THE_WAY)
    assert (difference.state, difference.key) == ("open", number)
    await county.control("POST", f"/receipts/{receipt.number}/void-paper", {})
    await tick(county, 700)
    assert (await Refund.get(refund_no=number)).state == RefundState.SUCCESS
    assert (await Difference.get(id=difference.id)).state == "auto_fixed"


async def test_s44_nobody_knows_is_no_either(county):
    """When the receipt platform is silent no refund is taken: afterwards nobody could say that it was reversible."""
    _, payment_no = await sold(county)
    await county.fault("8983", {"drop": "before"})
    with pytest.raises(receipts.ReceiptInTheWay) as refused:
        await refunds.request_refund(payment_no=payment_no, reason="多收了", requested_by="finance-a")
    assert refused.value.detail == receipts.UNKNOWN_WORDS
    assert await refunds.request_refund(payment_no=payment_no, reason="多收了", requested_by="finance-a")


# -- 45: the refund succeeded, the reversal does not ---------------------------------------------------------------------


@pytest.mark.parametrize("effect", [{"code": "18102"}, {"drop": "before"}, {"code": "29999"}], ids=str)
async def test_s45_the_refund_stands_and_the_reversal_is_tried_until_it_is_done(county, effect):
    bill_no, payment_no = await sold(county)
    number = await ask_back(payment_no)
    await county.fault("8984", effect, times=4)
    await tick(county)
    assert (await Refund.get(refund_no=number)).state == RefundState.SUCCESS
    assert (await payments.bill(owner_ref="owner-one", bill_no=bill_no)).status == "refunded"
    assert (await receipt_of(payment_no)).state == _R.REVERSAL_REQUESTED
    (difference,) = await Difference.filter(class_name="RECEIPT_NOT_REVERSED")
    assert (difference.state, difference.payment_no) == ("open", payment_no)
    assert "RECEIPT_NOT_REVERSED" in {row["class"] for row in await payments.open_differences()}
    for _ in range(4):
        await tick(county, 3700)
    assert (await receipt_of(payment_no)).state == _R.REVERSED
    assert (await Difference.get(id=difference.id)).state == "auto_fixed"
    assert (await Refund.get(refund_no=number)).state == RefundState.SUCCESS
    (red,) = await over_there(county)
    assert red["state"] == "REVERSED" and (await receipt_of(payment_no)).red_number == red["red_number"]
    assert len((await county.control("GET", "/refunds"))["refunds"]) == 1


async def test_s45_printed_after_the_refund_was_sent(county):
    """The one moment no check can cover: the refund stands, the reversal waits for the paper, and somebody is told."""
    _, payment_no = await sold(county)
    await county.control("POST", "/config", {"auto_refund": None})
    number = await ask_back(payment_no)
    await tick(county)
    receipt = await receipt_of(payment_no)
    await county.control("POST", f"/receipts/{receipt.number}/exchange-to-paper", {})
    await county.control("POST", f"/refunds/{number}/finish", {"state": "SUCCESS"})
    await tick(county, 700)
    assert (await Refund.get(refund_no=number)).state == RefundState.SUCCESS
    (difference,) = await Difference.filter(class_name=receipts.NOT_REVERSED)
    assert difference.state == "open" and "收回并作废纸质票据" in difference.detail
    await county.control("POST", f"/receipts/{receipt.number}/void-paper", {})
    await tick(county, 3700)
    assert (await receipt_of(payment_no)).state == _R.REVERSED


async def test_s45_a_part_goes_back_and_the_rest_gets_a_new_receipt(county):
    _, payment_no = await sold(county)
    await ask_back(payment_no, 400)
    await tick(county)
    first, second = await receipt_of(payment_no), await receipt_of(payment_no, 2)
    assert (first.state, second.state, second.amount_fen) == (_R.REVERSED, _R.ISSUED, 600)
    assert [(r["state"], r["amount_fen"]) for r in await over_there(county)] == [("REVERSED", 1000), ("ISSUED", 600)]
    await ask_back(payment_no)
    await tick(county)
    assert (await receipt_of(payment_no, 2)).state == _R.REVERSED
    assert await Receipt.all().count() == 2


async def test_s45_a_refund_before_the_receipt_came_leaves_none_standing(county):
    """Issue and reversal stand in one lane; a number that was kept and never used needs no reversal."""
    await county.fault("8981", {"drop": "before"}, times=20)
    _, payment_no = await sold(county)
    await ask_back(payment_no)
    await tick(county)
    await county.control("DELETE", "/faults")
    for _ in range(2):
        await tick(county, 3700)
    assert (await receipt_of(payment_no)).state == _R.REVERSED
    assert [r["state"] for r in await over_there(county)] == ["RESERVED"]


async def test_every_step_of_a_receipt_is_written_down(county):
    _, payment_no = await sold(county)
    await ask_back(payment_no)
    await tick(county)
    receipt = await receipt_of(payment_no)
    rows = await PaymentEvent.filter(object_no=receipt.request_no).order_by("seq")
    assert [(row.seq, row.action) for row in rows] == [(1, "issue"), (2, "want_reversal"), (3, "reverse")]
    topics = await db.fetch("SELECT DISTINCT topic FROM kernel_outbox WHERE topic LIKE 'payments.%receipt'")
    assert {row["topic"] for row in topics} == {receipts.ISSUE_TOPIC, receipts.REVERSE_TOPIC}
    await janitor.check_attempts()
