"""kill -9 at the worst moments of a payment: what was committed is recovered by asking, what was not never happened."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from payments import janitor, settlement
from payments.models import Attempt
from payments.states import AttemptState, BillState
from tests.payments.conftest import OPENID, OWNER, events, ledger_rows
from tests.payments.fakes import FakeOrder


async def run_and_kill(url: str, moment: str, number: str) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.payments.killed_child", url, moment, number, OWNER, OPENID,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert await asyncio.wait_for(child.wait(), 60) == -signal.SIGKILL


async def test_killed_after_the_intent_was_committed(books, database_url):
    bill_no = await books.issue()
    await run_and_kill(database_url, "sending", bill_no)
    attempt = await Attempt.get()
    assert attempt.state == AttemptState.SENDING
    books.clock.advance(days=2)  # the child lived in real time, this test does not
    attempt.expires_at = books.clock.now().replace(year=2027)
    await attempt.save()
    await janitor.check_attempts()
    assert (await books.attempt(attempt.payment_no)).state == AttemptState.PENDING
    assert list(books.channel.orders) == [attempt.payment_no]


@pytest.mark.parametrize("moment", ["posting", "settled"])
async def test_killed_while_settling(books, database_url, moment):
    bill_no = await books.issue()
    view = await books.start(bill_no)
    await run_and_kill(database_url, moment, view.payment_no)
    books.channel.orders[view.payment_no] = FakeOrder(
        b"", state="SUCCESS", txn_id="4200-one", payer=OPENID, amount_fen=1000
    )
    expected = "settled" if moment == "posting" else "already"
    assert (await books.bill(bill_no)).state == (BillState.OPEN if moment == "posting" else BillState.PAID)
    assert await settlement.apply_evidence(books.channel.notice(view.payment_no)) == expected
    assert (await books.bill(bill_no)).state == BillState.PAID
    assert len([row for row in await ledger_rows() if row[0] == "pay:wechat:4200-one"]) == 2
    assert len(await events("bill.paid")) == 1
