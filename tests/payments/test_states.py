"""The tables: closed, deterministic, every state with a public word, and derivation that agrees with them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.state_machine import IllegalTransition, NotYourMove
from payments.states import (
    ACTIVE,
    ATTEMPT,
    BILL,
    SETTLED,
    VOCABULARY,
    AttemptAction,
    AttemptState,
    BillAction,
    BillFacts,
    BillState,
    bill_action,
    derive_bill_state,
)

PUBLIC_WORDS = {
    "unpaid", "ongoing", "paid", "duplicated", "expired", "unavailable", "cancelled", "refunding", "refunded", "part_paid",
    "part_refunded", "waived",
}  # fmt: skip


def test_the_public_vocabulary_is_complete():
    assert set(VOCABULARY) == PUBLIC_WORDS
    for word in VOCABULARY.values():
        assert word.label
        assert word.next_step
    for machine in (BILL, ATTEMPT):
        assert {label.status for label in machine.labels.values()} <= PUBLIC_WORDS


def test_nothing_that_is_not_paid_is_ever_called_paid():
    for state in AttemptState:
        assert (ATTEMPT.label(state).status == "paid") == (state is AttemptState.PAID)
    for state in ACTIVE:
        assert ATTEMPT.label(state).status == "ongoing"
        assert not ATTEMPT.label(state).finished


@pytest.mark.parametrize(("state", "action"), list(itertools.product(AttemptState, AttemptAction)))
def test_settled_attempts_never_become_unpaid(state, action):
    if state in SETTLED and ATTEMPT.allows(state, action, by="channel"):
        assert ATTEMPT.step(state, action, by="channel") in SETTLED


@pytest.mark.parametrize(("state", "action"), list(itertools.product(BillState, BillAction)))
def test_every_edge_that_is_not_in_the_table_is_refused(state, action):
    edges = {(e.source, e.action): e for e in BILL.edges}
    edge = edges.get((state, action))
    if edge is None:
        with pytest.raises(IllegalTransition):
            BILL.step(state, action, by="operator")
    else:
        assert BILL.step(state, action, by=sorted(edge.by)[0]) == edge.target


def test_only_the_channel_or_a_documented_operator_says_that_money_came():
    for action in (AttemptAction.PAID, AttemptAction.CORRECTION):
        for edge in ATTEMPT.edges:
            if edge.action is action:
                assert edge.by == {"channel", "operator"}
                with pytest.raises(NotYourMove):
                    ATTEMPT.step(edge.source, action, by="payer")


def test_dead_ends_are_dead():
    for state in (BillState.WITHDRAWN, BillState.REFUNDED, BillState.WAIVED):
        assert not [e for e in BILL.edges if e.source is state]


amounts = st.integers(min_value=0, max_value=10**6)


@given(amounts, amounts, amounts, st.booleans(), st.booleans(), st.booleans())
def test_derivation_is_total(due, paid, back, published, withdrawn, expired):
    facts = BillFacts(
        published=published, withdrawn=withdrawn, expired=expired, due_fen=due, paid_fen=min(paid, due), back_fen=back
    )
    assert derive_bill_state(facts) in BillState


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({"published": False}, BillState.DRAFT),
        ({}, BillState.OPEN),
        ({"expired": True}, BillState.EXPIRED),
        ({"paid_fen": 400}, BillState.PART_PAID),
        ({"paid_fen": 1000}, BillState.PAID),
        ({"paid_fen": 1000, "expired": True}, BillState.PAID),
        ({"paid_fen": 1000, "back_fen": 1}, BillState.PART_REFUNDED),
        ({"paid_fen": 1000, "back_fen": 1000}, BillState.REFUNDED),
        ({"due_fen": 0}, BillState.WAIVED),
        ({"withdrawn": True, "paid_fen": 1000}, BillState.WITHDRAWN),
    ],
)
def test_what_the_facts_mean(facts, state):
    base = {"published": True, "withdrawn": False, "expired": False, "due_fen": 1000, "paid_fen": 0}
    assert derive_bill_state(BillFacts(**(base | facts))) is state


def test_a_derived_jump_without_an_edge_is_a_bug():
    assert bill_action(BillState.OPEN, BillState.OPEN) is None
    assert bill_action(BillState.EXPIRED, BillState.PAID) is BillAction.LATE_PAY
    with pytest.raises(LookupError):
        bill_action(BillState.WITHDRAWN, BillState.OPEN)
