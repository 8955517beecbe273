"""A bill from issue to paid, and what may go wrong between the call, the notice and the query."""

import pytest

import payments
from kernel.problems import NotFound, PartnerDown
from payments import janitor, settlement
from payments.states import AttemptState, BillState
from tests.payments.conftest import OWNER, SUBJECT, events, ledger_rows


async def test_a_bill_is_paid_once_and_everybody_hears_it_once(books):
    bill_no = await books.issue()
    view = await books.start(bill_no)
    assert (view.status, view.client_action) == ("ongoing", {"package": f"prepay_id=wx{view.payment_no}"})
    assert await payments.outstanding(SUBJECT)

    books.channel.pay(view.payment_no)
    assert await settlement.apply_evidence(books.channel.notice(view.payment_no)) == "settled"
    assert await settlement.apply_evidence(books.channel.notice(view.payment_no)) == "already"
    assert await settlement.apply_evidence(books.channel.answer(view.payment_no)) == "already"

    bill = await payments.bill(owner_ref=OWNER, bill_no=bill_no)
    assert (bill.status, bill.finished, bill.paid_fen, bill.payable) == ("paid", True, 1000, False)
    assert bill.payments[0].status == "paid"
    assert bill.payments[0].client_action is None
    assert not await payments.outstanding(SUBJECT)
    paid = await events("bill.paid")
    assert [e["payload"] for e in paid] == [{"bill_no": bill_no, "subject": SUBJECT, "kind": "administrative"}]
    assert paid[0]["lane"] == f"bill:{bill_no}"
    txn = books.channel.orders[view.payment_no].txn_id
    assert await ledger_rows() == sorted(
        [
            (f"bill:{bill_no}:v1", f"bill:{bill_no}:due", 1000),
            (f"bill:{bill_no}:v1", f"unit:{bill.unit_code}:income", -1000),
            (f"pay:wechat:{txn}", f"bill:{bill_no}:due", -1000),
            (f"pay:wechat:{txn}", "channel:wechat:receivable", 1000),
        ]
    )


async def test_coming_back_from_the_cashier_asks_the_channel_at_once_but_not_all_the_time(books):
    view = await books.start(await books.issue())
    books.channel.pay(view.payment_no)
    assert (await payments.payment(owner_ref=OWNER, payment_no=view.payment_no)).status == "paid"
    assert books.channel.count("query") == 1

    other = await books.start(await books.issue(key="fee:2"))
    for _ in range(5):
        assert (await payments.payment(owner_ref=OWNER, payment_no=other.payment_no)).status == "ongoing"
    assert books.channel.count("query") == 2
    books.clock.advance(seconds=4)
    await payments.payment(owner_ref=OWNER, payment_no=other.payment_no)
    assert books.channel.count("query") == 3


async def test_other_peoples_bills_and_payments_do_not_exist(books):
    bill_no = await books.issue()
    view = await books.start(bill_no)
    for call in (
        payments.bill(owner_ref="somebody", bill_no=bill_no),
        payments.payment(owner_ref="somebody", payment_no=view.payment_no),
        books.start(bill_no, owner="somebody"),
        books.start("NOSUCHBILL"),
    ):
        with pytest.raises(NotFound):
            await call


async def test_a_second_tap_continues_the_same_order(books):
    bill_no = await books.issue()
    first = await books.start(bill_no)
    second = await books.start(bill_no)
    assert second == first
    assert books.channel.count("prepare") == 1
    books.clock.advance(minutes=20)
    assert (await books.start(bill_no)).payment_no == first.payment_no


async def test_a_paid_bill_takes_no_second_payment(books):
    bill_no = await books.issue()
    view = await books.start(bill_no)
    books.channel.pay(view.payment_no)
    await settlement.apply_evidence(books.channel.notice(view.payment_no))
    with pytest.raises(payments.BillNotPayable):
        await books.start(bill_no)


async def test_the_request_is_lost_before_the_channel_saw_it(books):
    books.channel.faults["prepare"] = ["before"]
    view = await books.start(await books.issue())
    books.clock.advance(seconds=7)
    await janitor.check_attempts()
    attempt = await books.attempt(view.payment_no)
    assert (attempt.state, attempt.sends) == (AttemptState.PENDING, 2)
    assert list(books.channel.orders) == [view.payment_no]


async def test_nothing_was_sent_says_so_and_the_next_tap_sends(books):
    books.channel.faults["prepare"] = ["not_sent"]
    bill_no = await books.issue()
    with pytest.raises(PartnerDown):
        await books.start(bill_no)
    view = await books.start(bill_no)
    assert view.client_action is not None
    assert len(books.channel.orders) == 1


async def test_a_proven_refusal_ends_the_attempt_and_the_bill_can_be_paid_again(books):
    books.channel.faults["prepare"] = ["refuse"]
    bill_no = await books.issue()
    first = await books.start(bill_no)
    assert (first.status, first.finished) == ("unpaid", True)
    second = await books.start(bill_no)
    assert second.payment_no != first.payment_no
    assert second.status == "ongoing"


async def test_a_bug_in_a_gateway_is_an_unknown_outcome(books):
    books.channel.faults["prepare"] = ["crash"]
    view = await books.start(await books.issue())
    assert (await books.attempt(view.payment_no)).state == AttemptState.UNKNOWN


async def test_an_order_past_its_end_is_closed_at_the_channel_first(books):
    bill_no = await books.issue()
    view = await books.start(bill_no)
    books.clock.advance(minutes=31)
    await janitor.check_attempts()
    assert (await books.attempt(view.payment_no)).state == AttemptState.CLOSED
    assert books.channel.orders[view.payment_no].state == "CLOSED"
    assert (await payments.bill(owner_ref=OWNER, bill_no=bill_no)).status == "unpaid"
    assert (await books.start(bill_no)).payment_no != view.payment_no


async def test_a_silent_channel_is_asked_again_soon_after_the_orders_end(books):
    view = await books.start(await books.issue())
    books.clock.advance(minutes=31)
    books.channel.faults["query"] = ["silent"]
    books.channel.pay(view.payment_no)
    await janitor.check_attempts()  # the query is silent, so nothing is known yet
    assert (await books.attempt(view.payment_no)).state == AttemptState.PENDING
    books.clock.advance(minutes=1)
    await janitor.check_attempts()
    assert (await books.attempt(view.payment_no)).state == AttemptState.PAID


async def test_a_bill_expires_only_when_nothing_is_open_at_the_channel(books):
    bill_no = await books.issue(days=0.01)
    view = await books.start(bill_no)
    books.clock.advance(minutes=16)
    books.channel.faults["close"] = ["silent"]
    await janitor.expire_bills()
    assert (await books.bill(bill_no)).state == BillState.OPEN
    await janitor.check_attempts()
    assert (await books.attempt(view.payment_no)).state == AttemptState.CLOSING
    assert (await payments.bill(owner_ref=OWNER, bill_no=bill_no)).status == "ongoing"
    books.clock.advance(minutes=2)
    await janitor.check_attempts()
    assert (await books.bill(bill_no)).state == BillState.EXPIRED
    assert (await payments.bill(owner_ref=OWNER, bill_no=bill_no)).status == "expired"


async def test_the_same_dedupe_key_is_the_same_bill(books):
    assert await books.issue() == await books.issue()
    assert len(await payments.bills_of(SUBJECT)) == 1


async def test_pages_of_bills(books):
    numbers = [await books.issue(key=f"fee:{n}") for n in range(5)]
    page, cursor = await payments.bills_page(owner_ref=OWNER, limit=3)
    rest, end = await payments.bills_page(owner_ref=OWNER, cursor=cursor, limit=3)
    assert [b.bill_no for b in page + rest] == numbers[::-1]
    assert end is None
