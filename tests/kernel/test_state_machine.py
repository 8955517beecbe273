"""A table of edges: everything that is not listed is refused."""

from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.state_machine import Edge, IllegalTransition, Label, Machine, NotYourMove


class State(StrEnum):
    OPEN = "open"
    SHUT = "shut"


class Action(StrEnum):
    SHUT = "shut_it"
    OPEN = "open_it"


DOOR = Machine(
    "door",
    edges=[
        Edge(State.OPEN, Action.SHUT, State.SHUT),
        Edge(State.SHUT, Action.OPEN, State.OPEN, by=frozenset({"keeper"})),
    ],
    labels={State.OPEN: Label("open", "开着", False), State.SHUT: Label("shut", "关着", True)},
)


def test_a_listed_edge_is_taken():
    assert DOOR.step("open", "shut_it", by="anyone") is State.SHUT
    assert DOOR.label("shut").finished


def test_an_edge_that_is_not_listed_is_refused_in_the_words_of_the_state():
    with pytest.raises(IllegalTransition) as caught:
        DOOR.step("open", "open_it", by="keeper")
    assert "开着" in caught.value.detail


def test_an_edge_of_somebody_else_is_refused():
    with pytest.raises(NotYourMove):
        DOOR.step("shut", "open_it", by="anyone")
    assert DOOR.actions("shut", by="anyone") == ()
    assert DOOR.actions("shut", by="keeper") == ("open_it",)


@given(st.sampled_from(list(State)), st.sampled_from(list(Action)), st.sampled_from(["keeper", "anyone"]))
def test_allows_and_step_never_disagree(state, action, by):
    try:
        DOOR.step(state, action, by=by)
    except (IllegalTransition, NotYourMove):
        assert not DOOR.allows(state, action, by=by)
    else:
        assert DOOR.allows(state, action, by=by)


def test_a_table_with_two_edges_or_an_unlabelled_state_is_not_built():
    with pytest.raises(ValueError, match="two edges"):
        Machine("x", edges=[Edge(State.OPEN, Action.SHUT, State.SHUT)] * 2, labels=DOOR.labels)
    with pytest.raises(ValueError, match="no label"):
        Machine("x", edges=[Edge(State.OPEN, Action.SHUT, State.SHUT)], labels={State.OPEN: Label("o", "开", False)})
