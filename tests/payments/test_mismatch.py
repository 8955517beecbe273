"""Statements that are proven and yet do not fit: nothing settles, the money is kept in suspense, a person is called."""

import pytest

import payments
from kernel import db
from payments import janitor, ledger, settlement
from payments.models import Difference
from payments.states import AttemptState, BillState
from tests.payments.conftest import OWNER


@pytest.mark.parametrize(
    ("changed", "class_name"),
    [
        ({"amount_fen": 1}, "AMOUNT_LOW"),
        ({"amount_fen": 1001}, "AMOUNT_HIGH"),
        ({"currency": "HKD"}, "CURRENCY"),
        ({"payer_id": "somebody-else"}, "PAYER"),
    ],
)
async def test_own_merchant_but_another_order_than_we_made(books, changed, class_name):
    bill_no = await books.issue()
    view = await books.start(bill_no)
    books.channel.pay(view.payment_no)
    notice = books.channel.notice(view.payment_no, **changed)
    assert await settlement.apply_evidence(notice) == "suspense"
    assert await settlement.apply_evidence(notice) == "already"
    attempt = await books.attempt(view.payment_no)
    assert (attempt.state, attempt.review_required) == (AttemptState.PENDING, True)
    assert (await books.bill(bill_no)).state == BillState.OPEN
    assert [d.class_name for d in await Difference.all()] == [class_name]
    assert await ledger.turnover(ledger.suspense("wechat")) == notice.amount_fen
    shown = await payments.payment(owner_ref=OWNER, payment_no=view.payment_no)
    assert (shown.status, shown.client_action) == ("ongoing", None)
    assert "人工核对" in shown.next_step
    books.clock.advance(hours=2)
    await janitor.check_attempts()
    assert books.channel.count("query") == 0  # a person decides now


@pytest.mark.parametrize("changed", [{"merchant_id": "1900000999"}, {"app_id": "wx0000000000000000"}])
async def test_another_merchants_money_moves_nothing(books, changed):
    bill_no = await books.issue()
    view = await books.start(bill_no)
    books.channel.pay(view.payment_no)
    for _ in range(2):
        assert await settlement.apply_evidence(books.channel.notice(view.payment_no, **changed)) == "foreign"
    assert (await books.attempt(view.payment_no)).state == AttemptState.PENDING
    assert await ledger.turnover(ledger.channel_receivable("wechat")) == 0
    assert [d.class_name for d in await Difference.all()] == ["SECURITY_FOREIGN_MERCHANT"]


async def test_our_merchant_received_money_under_a_number_we_never_made(books):
    notice = books.channel.notice("NEVERMADE")
    assert await settlement.apply_evidence(notice) == "suspense"
    assert await settlement.apply_evidence(notice) == "nothing"
    assert [d.class_name for d in await Difference.all()] == ["CHANNEL_ONLY"]
    assert await ledger.turnover(ledger.suspense("wechat")) == 1000


async def test_a_second_transaction_under_one_number(books):
    view = await books.start(await books.issue())
    books.channel.pay(view.payment_no)
    await settlement.apply_evidence(books.channel.notice(view.payment_no))
    other = books.channel.notice(view.payment_no, event_id="EV-other", channel_txn_id="4200-other")
    assert await settlement.apply_evidence(other) == "suspense"
    assert [d.class_name for d in await Difference.all()] == ["SECOND_TRANSACTION"]


async def test_silence_for_a_week_calls_a_person_who_concludes_with_a_document(books):
    bill_no = await books.issue()
    books.channel.faults["prepare"] = ["before"]
    view = await books.start(bill_no)
    books.channel.faults["query"] = ["silent"] * 400
    for _ in range(9 * 24):
        books.clock.advance(hours=1)
        await janitor.check_attempts()
    attempt = await books.attempt(view.payment_no)
    assert (attempt.state, attempt.review_required, attempt.next_check_at) == (AttemptState.UNKNOWN, True, None)
    assert [d.class_name for d in await Difference.all()] == ["ATTEMPT_STUCK"]
    assert (await payments.bill(owner_ref=OWNER, bill_no=bill_no)).status == "ongoing"
    await payments.conclude_closed(
        payment_no=view.payment_no, actor="finance-1", document="对账单 2026-11-20 至 2026-11-28"
    )
    assert (await books.attempt(view.payment_no)).state == AttemptState.CLOSED


async def test_a_signed_no_such_order_after_its_end_closes_it_an_unsigned_one_does_not(books):
    bill_no = await books.issue()
    books.channel.faults["prepare"] = ["before"]
    view = await books.start(bill_no)
    books.channel.faults["query"] = ["silent"] * 8
    books.clock.advance(minutes=45)
    for _ in range(12):
        await janitor.check_attempts()
        books.clock.advance(minutes=5)
    assert (await books.attempt(view.payment_no)).state == AttemptState.UNKNOWN
    books.channel.faults["query"] = []
    books.clock.advance(hours=2)
    await janitor.check_attempts()
    assert (await books.attempt(view.payment_no)).state == AttemptState.UNKNOWN
    books.channel.proven_not_found = True
    books.clock.advance(hours=2)
    await janitor.check_attempts()
    assert (await books.attempt(view.payment_no)).state == AttemptState.CLOSED
    assert len(await db.fetch("SELECT id FROM payments_ledger_txn WHERE kind = 'pay'")) == 0
