"""What a payment receipt says: for whom, of which money, and what went back of it."""

from datetime import date, timedelta

import pytest

import payments
from kernel import clock, db
from kernel.problems import NotFound
from payments import refund_janitor, settlement
from payments.models import Refund
from tests.payments.conftest import FEE, OWNER, SUBJECT, UNIT
from tests.payments.test_owed_back import two_attempts
from tests.payments.test_refunds import agreed, hear, paid


async def receipt(receipt_no: str, owner: str = OWNER):
    return await payments.payment_receipt(receipt_no=receipt_no, owner_ref=owner)


async def shown(bill_no: str) -> dict[str, str | None]:
    view = await payments.bill(owner_ref=OWNER, bill_no=bill_no)
    return {p.payment_no: p.receipt_no for p in view.payments}


async def test_a_paid_bill_has_a_receipt_and_the_views_name_it(books):
    bill_no, payment_no = await paid(books)
    assert await shown(bill_no) == {payment_no: payment_no}
    assert (await payments.payment(owner_ref=OWNER, payment_no=payment_no)).receipt_no == payment_no
    said = await receipt(payment_no)
    assert (said.bill_no, said.payer_ref, said.unit_code) == (bill_no, OWNER, UNIT)
    assert (said.amount_fen, said.due_fen, said.extra_fen) == (1000, 1000, 0)
    assert (said.returned_fen, said.returning_fen, said.status, said.label) == (0, 0, "paid", "已缴费")
    assert [(line.name, line.quantity, line.amount_fen) for line in said.lines] == [("老年人优待证补办工本费", 1, 1000)]
    assert said.channel_name == "微信支付"
    attempt = await books.attempt(payment_no)
    assert said.paid_at == attempt.paid_at
    assert said.channel_txn_mask == "****" + attempt.channel_txn_id[-4:]
    assert said.e_receipt is None


async def test_an_unpaid_payment_has_none(books):
    bill_no = await books.issue()
    view = await books.start(bill_no)
    assert view.receipt_no is None
    assert await shown(bill_no) == {view.payment_no: None}
    with pytest.raises(NotFound):
        await receipt(view.payment_no)


async def test_only_the_payer_and_the_owner_of_the_bill_get_it(books):
    bill_no = await books.issue()
    first, _ = await two_attempts(books, bill_no)
    books.channel.pay(first.payment_no)
    await settlement.apply_evidence(books.channel.notice(first.payment_no))
    assert await receipt(first.payment_no, "mother") == await receipt(first.payment_no, OWNER)
    with pytest.raises(NotFound):
        await receipt(first.payment_no, "somebody-else")
    with pytest.raises(NotFound):
        await receipt("0" * 26)


async def test_a_second_payment_paid_nothing_and_gets_none(books):
    bill_no = await books.issue()
    first, second = await two_attempts(books, bill_no)
    for one in (first, second):
        books.channel.pay(one.payment_no)
        await settlement.apply_evidence(books.channel.notice(one.payment_no))
    assert await shown(bill_no) == {first.payment_no: first.payment_no, second.payment_no: None}
    with pytest.raises(NotFound):
        await receipt(second.payment_no)
    assert await payments.payment_receipt_told(receipt_no=second.payment_no) is None


async def test_more_than_was_due_is_told_apart_from_what_was_paid(books):
    """A person explained suspended money: 25 yuan came for a bill of ten."""
    bill_no = await books.issue()
    view = await books.start(bill_no)
    books.channel.pay(view.payment_no)
    await settlement.apply_evidence(books.channel.notice(view.payment_no, amount_fen=2500))
    await payments.explain_suspense(
        payment_no=view.payment_no, to="bill", document="情况说明1号", actor="王会计", approved_by="李主任"
    )
    said = await receipt(view.payment_no)
    assert (said.amount_fen, said.extra_fen, said.status) == (1000, 1500, "paid")
    assert await shown(bill_no) == {view.payment_no: view.payment_no}


async def test_money_that_goes_back_stands_on_the_receipt(books):
    _, payment_no = await paid(books)
    for part, returned, status in ((300, 300, "part_refunded"), (700, 1000, "refunded")):
        refund_no = await agreed(payment_no, part)
        under_way = await receipt(payment_no)
        assert (under_way.status, under_way.returning_fen) == ("refunding", part)
        books.clock.advance(seconds=61)
        await refund_janitor.check_refunds()
        await hear(books, refund_no, "SUCCESS")
        said = await receipt(payment_no)
        assert (said.amount_fen, said.returned_fen, said.returning_fen, said.status) == (1000, returned, 0, status)


async def test_a_request_nobody_agreed_to_changes_nothing(books):
    _, payment_no = await paid(books)
    await payments.request_refund(payment_no=payment_no, reason="收错了", requested_by="王会计")
    assert (await receipt(payment_no)).status == "paid"
    assert await Refund.all().count() == 1


async def test_a_retried_return_of_surplus_never_hides_the_receipt(books):
    """A failed refund is followed by a new row over the same money; counted twice it would exceed what was paid."""
    bill_no = await books.issue()
    view = await books.start(bill_no)
    books.channel.pay(view.payment_no)
    await settlement.apply_evidence(books.channel.notice(view.payment_no, amount_fen=1900))
    await payments.explain_suspense(
        payment_no=view.payment_no, to="bill", document="情况说明1号", actor="王会计", approved_by="李主任"
    )
    first = await Refund.get(source="surplus")
    await refund_janitor.check_refunds()
    await hear(books, first.refund_no, "CLOSED")
    await payments.retry_refund(refund_no=first.refund_no, requested_by="王会计")
    assert await Refund.filter(source="surplus").count() == 2
    assert await shown(bill_no) == {view.payment_no: view.payment_no}
    assert (await receipt(view.payment_no)).extra_fen == 900


async def test_several_lines_stand_in_the_order_of_the_bill(books):
    item = await payments.propose_price(
        unit_code=UNIT, fee_code="B", kind="administrative", name="乙", unit_name="份", price_fen=250, max_quantity=9,
        valid_from_on=date(2026, 1, 1), approval_price="号", proposed_by="a",
    )  # fmt: skip
    await payments.approve_price(fee_item_id=item, approved_by="b")
    async with db.transaction():
        bill_no = await payments.issue_bill(
            subject=SUBJECT, owner_ref=OWNER, unit_code=UNIT, kind="administrative", dedupe_key="two",
            lines=[payments.Line(fee_code="B", name="乙", quantity=3, price_fen=250),
                   payments.Line(fee_code=FEE, name="甲", quantity=1, price_fen=1000)],
            expires_at=clock.now() + timedelta(days=1),
        )  # fmt: skip
    view = await books.start(bill_no)
    books.channel.pay(view.payment_no)
    await settlement.apply_evidence(books.channel.notice(view.payment_no))
    said = await receipt(view.payment_no)
    assert [(line.name, line.quantity, line.amount_fen) for line in said.lines] == [("乙", 3, 750), ("甲", 1, 1000)]
    assert (said.title, said.amount_fen) == ("乙等2项", 1750)
