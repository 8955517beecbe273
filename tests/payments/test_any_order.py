"""Statements may come in any order and any number of times: the end, the ledger and what others hear are the same."""

import itertools
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments import settlement
from payments.gateways.base import EvidenceKind, Outcome
from payments.states import ACTIVE, SETTLED, AttemptState, BillState
from tests.payments.conftest import events, ledger_rows

_keys = itertools.count()

TRUTHS = ("accepted", "notice", "query", "close_reply")
# What may drift in beside them: older answers, silence, and a close that the channel itself did.
NOISE = ("notpay", "no_reply", "not_found", "not_sent", "refused", "found_closed")


def statement(books, payment_no: str, name: str):
    channel = books.channel
    if name == "accepted":
        return channel.accepted(payment_no)
    if name == "notice":
        return channel.notice(payment_no)
    if name == "query":
        return channel.answer(payment_no)
    outcome = {"close_reply": Outcome.CLOSED, "found_closed": Outcome.CLOSED}.get(name) or Outcome(name)
    kind = EvidenceKind.QUERY if name in ("notpay", "not_found", "found_closed") else EvidenceKind.REPLY
    return channel._say(payment_no, kind, outcome)


async def ready(books) -> tuple[str, str]:
    """A bill with an attempt whose reply was lost; the payer has paid."""
    bill_no = await books.issue(key=f"fee:{next(_keys)}")
    books.channel.faults["prepare"] = ["after"]
    view = await books.start(bill_no)
    attempt = await books.attempt(view.payment_no)
    attempt.state = AttemptState.SENDING  # as if the call were still under way
    await attempt.save()
    books.channel.pay(view.payment_no)
    return bill_no, view.payment_no


async def postings(bill_no: str, payment_no: str) -> Counter:
    txns = [row for row in await ledger_rows() if row[1] in (f"bill:{bill_no}:due", f"surplus:{payment_no}")]
    return Counter((row[1].replace(bill_no, "B").replace(payment_no, "P"), row[2]) for row in txns)


@pytest.mark.parametrize("order", list(itertools.permutations(TRUTHS)))
async def test_every_order_of_the_four_statements(books, order):
    bill_no, payment_no = await ready(books)
    for name in order:
        await settlement.apply_evidence(statement(books, payment_no, name))
    assert (await books.attempt(payment_no)).state == AttemptState.PAID
    assert (await books.bill(bill_no)).state == BillState.PAID
    assert await postings(bill_no, payment_no) == Counter({("bill:B:due", 1000): 1, ("bill:B:due", -1000): 1})
    assert len(await events("bill.paid")) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.sampled_from(TRUTHS + NOISE), max_size=9))
async def test_any_statements_in_any_number(books, names):
    bill_no, payment_no = await ready(books)
    for name in names:
        await settlement.apply_evidence(statement(books, payment_no, name))
    attempt, bill = await books.attempt(payment_no), await books.bill(bill_no)
    heard = [e for e in await events("bill.paid") if e["payload"]["bill_no"] == bill_no]
    if {"notice", "query"} & set(names):
        assert attempt.state == AttemptState.PAID
        assert bill.state == BillState.PAID
        assert len(heard) == 1
        assert await postings(bill_no, payment_no) == Counter({("bill:B:due", 1000): 1, ("bill:B:due", -1000): 1})
    else:
        assert attempt.state not in SETTLED
        assert bill.state == BillState.OPEN
        assert heard == []
        assert await postings(bill_no, payment_no) == Counter({("bill:B:due", 1000): 1})
    if attempt.state in ACTIVE:
        assert attempt.next_check_at is not None
