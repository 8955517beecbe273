"""Money that belongs to no open bill is never lost and never settles twice: it is owed back, visibly, exactly once."""

import payments
from kernel import db
from payments import janitor, ledger, settlement
from payments.models import Refund
from payments.states import AttemptState, BillState
from tests.payments.conftest import OWNER, SUBJECT, events


async def paid(books, bill_no: str):
    view = await books.start(bill_no)
    books.channel.pay(view.payment_no)
    await settlement.apply_evidence(books.channel.notice(view.payment_no))
    return view


async def void(reason: str = "withdrawn") -> None:
    async with db.transaction():
        await payments.void_bills(subject=SUBJECT, reason=reason)


async def two_attempts(books, bill_no: str):
    """Two orders for one bill: the second phone belongs to the same family and pays through another slot."""
    first = await books.start(bill_no)
    row = await books.attempt(first.payment_no)
    row.active_slot, row.payer_ref = f"{row.bill_id}:wechat:mother", "mother"
    await row.save()
    return first, await books.start(bill_no)


async def test_two_payments_for_one_bill(books):
    bill_no = await books.issue()
    first, second = await two_attempts(books, bill_no)
    books.channel.pay(first.payment_no)
    books.channel.pay(second.payment_no)
    assert await settlement.apply_evidence(books.channel.notice(first.payment_no)) == "settled"
    assert (await books.attempt(second.payment_no)).state == AttemptState.CLOSING
    assert await settlement.apply_evidence(books.channel.notice(second.payment_no)) == "surplus"
    assert await settlement.apply_evidence(books.channel.answer(second.payment_no)) == "already"

    view = await payments.bill(owner_ref=OWNER, bill_no=bill_no)
    assert (view.status, view.paid_fen) == ("duplicated", 1000)
    assert {p.payment_no: p.status for p in view.payments} == {
        first.payment_no: "paid",
        second.payment_no: "duplicated",
    }
    assert [(r.payment_no, r.amount_fen, r.cause) for r in view.refunds] == [(second.payment_no, 1000, "surplus")]
    assert await ledger.balance(ledger.surplus(second.payment_no)) == 0
    assert await ledger.turnover(ledger.refund_reserved()) == 1000
    assert len(await events("bill.paid")) == 1
    assert [e["payload"]["amount_fen"] for e in await events("bill.refund_due")] == [1000]


async def test_the_sibling_of_a_paid_attempt_is_closed_at_the_channel(books):
    bill_no = await books.issue()
    first, second = await two_attempts(books, bill_no)
    books.channel.pay(first.payment_no)
    await settlement.apply_evidence(books.channel.notice(first.payment_no))
    await janitor.check_attempts()
    assert (await books.attempt(second.payment_no)).state == AttemptState.CLOSED
    assert books.channel.orders[second.payment_no].state == "CLOSED"


async def test_giving_up_an_unpaid_bill(books):
    bill_no = await books.issue()
    await void()
    view = await payments.bill(owner_ref=OWNER, bill_no=bill_no)
    assert (view.status, view.payable, view.paid_fen) == ("cancelled", False, 0)
    assert await ledger.balance(ledger.bill_due(bill_no)) == 0
    assert not await payments.outstanding(SUBJECT)
    await void()  # a second time changes nothing


async def test_giving_up_one_kind_leaves_the_other(books):
    bill_no = await books.issue()
    async with db.transaction():
        await payments.void_bills(subject=SUBJECT, kind="delivery", reason="pickup instead")
    assert (await books.bill(bill_no)).state == BillState.OPEN


async def test_giving_up_while_an_order_is_open_closes_it_at_the_channel_first(books):
    bill_no = await books.issue()
    view = await books.start(bill_no)
    await void()
    assert (await books.bill(bill_no)).state == BillState.OPEN
    assert (await payments.bill(owner_ref=OWNER, bill_no=bill_no)).status == "ongoing"
    await janitor.check_attempts()
    assert (await books.attempt(view.payment_no)).state == AttemptState.CLOSED
    assert (await books.bill(bill_no)).state == BillState.WITHDRAWN


async def test_giving_up_while_it_is_unknown_whether_the_order_exists(books):
    """First the order must be known for certain, then it is closed: nothing is concluded from silence."""
    bill_no = await books.issue()
    books.channel.faults["prepare"] = ["before"]
    view = await books.start(bill_no)
    await void()
    assert (await books.bill(bill_no)).state == BillState.OPEN
    await janitor.check_attempts()
    assert (await books.attempt(view.payment_no)).state == AttemptState.CLOSED
    assert books.channel.orders[view.payment_no].state == "CLOSED"
    assert (await books.bill(bill_no)).state == BillState.WITHDRAWN


async def test_paid_while_the_matter_is_given_up(books):
    bill_no = await books.issue()
    view = await books.start(bill_no)
    books.channel.pay(view.payment_no)
    await void()
    await janitor.check_attempts()
    assert (await books.bill(bill_no)).state == BillState.WITHDRAWN
    shown = await payments.bill(owner_ref=OWNER, bill_no=bill_no)
    assert (shown.status, shown.refunds[0].cause) == ("refunding", "withdrawal")
    assert await events("bill.paid") == []
    assert len(await events("bill.refund_due")) == 1


async def test_giving_up_a_paid_bill_owes_it_back_once(books):
    bill_no = await books.issue()
    await paid(books, bill_no)
    await void()
    await void("again")
    view = await payments.bill(owner_ref=OWNER, bill_no=bill_no)
    assert (view.status, [r.cause for r in view.refunds]) == ("refunding", ["withdrawal"])
    assert (await books.bill(bill_no)).state == BillState.PAID
    assert len(await events("bill.refund_due")) == 1


async def test_money_after_the_bill_expired_goes_back(books):
    bill_no = await books.issue(days=0.01)
    view = await books.start(bill_no)
    books.clock.advance(minutes=20)
    await janitor.check_attempts()
    await janitor.expire_bills()
    assert (await books.bill(bill_no)).state == BillState.EXPIRED
    books.channel.orders[view.payment_no].state = "NOTPAY"
    books.channel.pay(view.payment_no)
    assert await settlement.apply_evidence(books.channel.notice(view.payment_no)) == "surplus"
    assert (await books.bill(bill_no)).state == BillState.EXPIRED
    assert (await Refund.get()).cause == "late"
    assert (await payments.bill(owner_ref=OWNER, bill_no=bill_no)).status == "refunding"


async def test_money_after_the_bill_expired_settles_it_where_that_was_agreed(books):
    bill_no = await books.issue(days=0.01, late_policy="accept")
    view = await books.start(bill_no)
    books.clock.advance(minutes=20)
    await janitor.check_attempts()
    await janitor.expire_bills()
    books.channel.orders[view.payment_no].state = "NOTPAY"
    books.channel.pay(view.payment_no)
    assert await settlement.apply_evidence(books.channel.notice(view.payment_no)) == "settled"
    assert (await books.bill(bill_no)).state == BillState.PAID
    assert len(await events("bill.paid")) == 1


async def test_an_expired_bill_is_opened_again(books):
    bill_no = await books.issue(days=0.01)
    books.clock.advance(minutes=20)
    await janitor.expire_bills()
    await payments.reopen_bill(bill_no=bill_no, expires_at=books.clock.now().replace(year=2027))
    assert (await books.start(bill_no)).status == "ongoing"
