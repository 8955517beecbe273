"""What a payer reads about a payment that came to nothing depends on what became of the bill."""

from datetime import timedelta

import payments
from backend import readiness
from payments import janitor
from payments.models import Attempt, Bill, PaymentEvent
from payments.states import VOCABULARY
from tests.payments.conftest import OWNER


async def dead_attempt(books, bill_no: str, state: str) -> str:
    view = await books.start(bill_no)
    await Attempt.filter(payment_no=view.payment_no).update(state=state, active_slot=None, next_check_at=None)
    return view.payment_no


async def step_of(payment_no: str) -> str:
    return (await payments.payment(owner_ref=OWNER, payment_no=payment_no)).next_step


async def test_a_closed_payment_of_an_expired_bill_does_not_say_that_nothing_is_owed(books) -> None:
    bill_no = await books.issue(days=1)
    payment_no = await dead_attempt(books, bill_no, "closed")
    assert await step_of(payment_no) == "这次没有支付成功，可以重新发起支付"
    books.clock.advance(days=2)
    await janitor.expire_bills()
    assert (await Bill.get(bill_no=bill_no)).state == "expired"
    assert await step_of(payment_no) == VOCABULARY["expired"].next_step


async def test_a_refused_payment_of_a_bill_that_was_given_up_asks_for_nothing(books) -> None:
    bill_no = await books.issue()
    payment_no = await dead_attempt(books, bill_no, "rejected")
    await payments.void_bills(subject=(await Bill.get(bill_no=bill_no)).subject, reason="已撤回")
    assert await step_of(payment_no) == VOCABULARY["cancelled"].next_step


async def test_who_opened_an_expired_bill_again_stays_in_its_history(books) -> None:
    bill_no = await books.issue(days=1)
    books.clock.advance(days=2)
    await janitor.expire_bills()
    later = books.clock.now() + timedelta(days=5)
    await payments.reopen_bill(bill_no=bill_no, expires_at=later, actor="李主任")
    assert (await PaymentEvent.filter(object_no=bill_no).order_by("-seq").first()).note == "李主任"


async def test_finance_sees_what_is_owed_back(books) -> None:
    bill_no = await books.issue()
    view = await books.start(bill_no)
    books.channel.pay(view.payment_no)
    await payments.payment(owner_ref=OWNER, payment_no=view.payment_no)
    assert await payments.refunds_unfinished() == []
    await payments.void_bills(subject=(await Bill.get(bill_no=bill_no)).subject, reason="已撤回")
    (due,) = await payments.refunds_unfinished()
    assert (due.payment_no, due.amount_fen, due.cause) == (view.payment_no, 1000, "withdrawal")
    assert (await readiness.waiting())["应退的款"].startswith("1 条")
