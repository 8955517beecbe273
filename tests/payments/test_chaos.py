"""Any story of taps, payments, lost replies, late notices, withdrawals and time: in the end the channel and the books agree."""

import itertools
import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import payments
from kernel import db
from kernel.problems import Problem
from payments import janitor, ledger, settlement
from payments.models import Attempt, Bill, Refund
from payments.states import ACTIVE, SETTLED, BillState
from tests.payments.conftest import OWNER, events

_subjects = itertools.count()
EXAMPLES = int(os.environ.get("CHAOS_EXAMPLES", "40"))  # `make chaos` runs many more

STEPS = st.one_of(
    st.sampled_from(
        [
            *("tap", "other_tap", "pay", "pay_other", "notice", "old_notice", "return", "janitor", "expire", "void"),
            *("lose_order", "lose_reply", "cannot_send", "refuse", "silent_query", "silent_close"),
        ]
    ),
    st.integers(min_value=1, max_value=2400),  # seconds pass
)


class Story:
    """One family, one bill, two phones."""

    def __init__(self, books, subject: str) -> None:
        self.books, self.subject, self.bill_no = books, subject, ""
        self.notices: list = []

    async def begin(self) -> None:
        self.bill_no = await self.books.issue(key=self.subject, subject=self.subject, days=0.02)

    async def numbers(self) -> list[str]:
        bill = await Bill.get(bill_no=self.bill_no)
        return [a.payment_no for a in await Attempt.filter(bill_id=bill.id).order_by("id")]

    async def do(self, step) -> None:
        if isinstance(step, int):
            self.books.clock.advance(seconds=step)
            return
        await getattr(self, step)()

    async def tap(self) -> None:
        try:
            await self.books.start(self.bill_no)
        except Problem:
            return  # not payable any more, or nothing was sent

    async def other_tap(self) -> None:
        """The mother's phone: what was active before belongs to the father's."""
        for attempt in await Attempt.filter(active_slot__isnull=False):
            attempt.active_slot = f"{attempt.id}:other"
            await attempt.save()
        await self.tap()

    async def pay(self, which: int = 0) -> None:
        open_orders = [no for no in await self.numbers() if no in self.books.channel.orders]
        open_orders = [no for no in open_orders if self.books.channel.orders[no].state == "NOTPAY"]
        if len(open_orders) > which:
            self.books.channel.pay(open_orders[which])
            self.notices.append(self.books.channel.notice(open_orders[which]))

    async def pay_other(self) -> None:
        await self.pay(1)

    async def notice(self) -> None:
        if self.notices:
            await settlement.apply_evidence(self.notices[-1])

    async def old_notice(self) -> None:
        if self.notices:
            await settlement.apply_evidence(self.notices[0])

    async def void(self) -> None:
        async with db.transaction():
            await payments.void_bills(subject=self.subject, reason="withdrawn")

    async def janitor(self) -> None:
        await janitor.check_attempts()

    async def expire(self) -> None:
        await janitor.expire_bills()

    async def lose_order(self) -> None:
        self.fault("prepare", "before")

    async def lose_reply(self) -> None:
        self.fault("prepare", "after")

    async def cannot_send(self) -> None:
        self.fault("prepare", "not_sent")

    async def refuse(self) -> None:
        self.fault("prepare", "refuse")

    async def silent_query(self) -> None:
        self.fault("query", "silent")

    async def silent_close(self) -> None:
        self.fault("close", "silent")

    def fault(self, call: str, effect: str) -> None:
        self.books.channel.faults.setdefault(call, []).append(effect)

    async def settle_down(self) -> None:
        """The channel answers again and time passes: every question gets its answer."""
        self.books.channel.faults.clear()
        self.books.channel.proven_not_found = True
        for _ in range(60):
            self.books.clock.advance(minutes=20)
            await janitor.check_attempts()
            await janitor.expire_bills()


# "return" is a Python word; the phone's return from the cashier is written out here.
async def _return(self: Story) -> None:
    for number in await self.numbers():
        await payments.payment(owner_ref=OWNER, payment_no=number)


setattr(Story, "return", _return)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, max_size=16))
async def test_in_the_end_the_channel_and_the_books_agree(books, steps):
    story = Story(books, f"case:chaos-{next(_subjects)}")
    await story.begin()
    for step in steps:
        await story.do(step)
        shown = await payments.bill(owner_ref=OWNER, bill_no=story.bill_no)
        bill = await Bill.get(bill_no=story.bill_no)
        assert (shown.status in ("paid", "duplicated")) <= (bill.state == BillState.PAID)
    await story.settle_down()
    await agrees(story)
    assert (await payments.ledger_check()).violations == []


async def agrees(story: Story) -> None:
    bill = await Bill.get(bill_no=story.bill_no)
    attempts = await Attempt.filter(bill_id=bill.id)
    paid_there = {
        no for no in await story.numbers() if (o := story.books.channel.orders.get(no)) and o.state == "SUCCESS"
    }
    assert {a.payment_no for a in attempts if a.state in SETTLED} == paid_there
    assert not [a for a in attempts if a.state in ACTIVE]
    owed = await Refund.filter(bill_id=bill.id)
    kept = 1000 * len(paid_there) - sum(row.amount_fen for row in owed)
    heard = [e for e in await events("bill.paid") if e["payload"]["bill_no"] == story.bill_no]
    assert len(heard) == (1 if bill.state == BillState.PAID else 0)
    assert kept == (1000 if bill.state == BillState.PAID and bill.void_reason is None else 0)
    rest = await ledger.balance(ledger.bill_due(story.bill_no))
    assert rest == (1000 if bill.state == BillState.EXPIRED else 0)
    assert bill.state in (BillState.PAID, BillState.EXPIRED, BillState.WITHDRAWN)
