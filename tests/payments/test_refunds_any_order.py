"""Statements about a refund and its payment may come in any order and number: the end and the ledger are the same."""

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import payments
from kernel.state_machine import IllegalTransition
from payments import refund_asking, refund_settlement, settlement
from payments.gateways.base import EvidenceKind, Outcome
from payments.gateways.refund_port import RefundOutcome
from payments.refund_states import REFUND, RefundAction, RefundState
from tests.payments.conftest import ledger_rows
from tests.payments.test_refunds import agreed, paid, row

_keys = itertools.count()

TRUTHS = ("payment_notice", "payment_query", "reply", "query", "refund_notice")
NOISE = ("payment_notpay", "payment_closed", "no_reply", "not_found", "not_sent", "processing")


async def say(books, payment_no: str, refund_no: str, name: str) -> None:
    channel, refunds = books.channel, books.channel.refunds
    if name.startswith("payment"):
        plain = {"payment_notice": channel.notice, "payment_query": channel.answer}.get(name)
        outcome = Outcome.NOTPAY if name == "payment_notpay" else Outcome.CLOSED
        await settlement.apply_evidence(
            plain(payment_no) if plain else channel._say(payment_no, EvidenceKind.QUERY, outcome)
        )
        return
    found = {
        "reply": lambda: refunds.state(refund_no, EvidenceKind.REPLY),
        "query": lambda: refunds.answer(refund_no),
        "refund_notice": lambda: refunds.notice(refund_no),
        "processing": lambda: refunds.state(refund_no, EvidenceKind.REPLY, outcome=RefundOutcome.PROCESSING),
    }.get(name)
    kind = EvidenceKind.QUERY if name == "not_found" else EvidenceKind.REPLY
    await refund_settlement.apply_refund_evidence(
        found() if found else refunds.say(refund_no, kind, RefundOutcome(name), payment_no)
    )


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.sampled_from(TRUTHS + NOISE), max_size=10))
async def test_any_order_and_number_of_statements_ends_the_same(books, names):
    """While the refund's call is under way anything may come, as often as it likes."""
    bill_no, payment_no = await paid(books, key=f"any:{next(_keys)}")
    refund_no = await agreed(payment_no)
    assert await refund_asking._begin(refund_no)
    refunds = books.channel.refunds
    await refunds.send(await refund_asking.order_of(await row(refund_no), body=b'{"fen":1000}'))
    refunds.finish(refund_no)
    for name in names:
        await say(books, payment_no, refund_no, name)
    posted = [r for r in await ledger_rows() if refund_no in r[0]]
    if {"reply", "query", "refund_notice"} & set(names):
        assert (await row(refund_no)).state == "success"
        assert ((await books.bill(bill_no)).state, (await books.attempt(payment_no)).state) == ("refunded", "refunded")
        assert len(posted) == 4
    else:
        assert (await row(refund_no)).state in ("sending", "unknown", "processing")
        assert (await books.bill(bill_no)).state == "paid"
        assert len(posted) == 2
        await refund_settlement.apply_refund_evidence(refunds.notice(refund_no))
    assert (await payments.ledger_check()).violations == []


@pytest.mark.parametrize(("state", "action"), list(itertools.product(RefundState, RefundAction)))
def test_every_edge_that_is_not_in_the_table_is_refused(state, action):
    edge = {(e.source, e.action): e for e in REFUND.edges}.get((state, action))
    if edge is None:
        with pytest.raises(IllegalTransition):
            REFUND.step(state, action, by="operator")
    else:
        assert REFUND.step(state, action, by=sorted(edge.by)[0]) == edge.target
        assert state not in (RefundState.SUCCESS, RefundState.SUCCESS_OFFLINE, RefundState.DENIED)
