"""The table of a message's life on a channel."""

from hypothesis import given
from hypothesis import strategies as st

from notifications.states import CARRIED, DELIVERY, TROUBLE, DeliveryAction, DeliveryState


@given(st.lists(st.tuples(st.sampled_from(list(DeliveryAction)), st.sampled_from(["system", "partner"])), max_size=12))
def test_a_finished_message_stays_finished_and_a_carried_one_is_never_queued_by_time(actions):
    state = DeliveryState.QUEUED
    for action, by in actions:
        if not DELIVERY.allows(state, action, by=by):
            continue
        assert not DELIVERY.label(state).finished
        state = DELIVERY.step(state, action, by=by)


def test_only_a_certain_refusal_leads_back_to_the_queue():
    back = {(edge.source, edge.action) for edge in DELIVERY.edges if edge.target is DeliveryState.QUEUED}
    assert back == {
        (DeliveryState.SENDING, DeliveryAction.RETRY),
        (DeliveryState.UNKNOWN, DeliveryAction.RETRY),
    }


def test_every_state_has_a_word_for_people_and_every_end_is_reachable():
    reachable = {DeliveryState.QUEUED} | {edge.target for edge in DELIVERY.edges}
    assert reachable == set(DeliveryState)
    for state in DeliveryState:
        label = DELIVERY.label(state)
        assert label.label
        assert label.finished == (not [edge for edge in DELIVERY.edges if edge.source is state])
    assert not CARRIED & TROUBLE
