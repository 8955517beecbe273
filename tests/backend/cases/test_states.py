"""The state table.

Labels for everything, nothing leads out of an end, skipped steps are always legal ones, and the page says the same.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cases import paths
from backend.cases.states import CASE, EDGES, END_STATES, LABELS, Action, By, CaseState
from kernel.state_machine import IllegalTransition, NotYourMove

PAGE = Path(__file__).parents[3] / "docs" / "cases.md"
STATES = st.sampled_from(CaseState)
BASES = st.sampled_from(paths.TRUNK)


def test_every_state_has_a_label_of_its_own():
    assert set(LABELS) == set(CaseState)
    assert len({label.status for label in LABELS.values()}) == len({label.label for label in LABELS.values()}) == 16


def test_only_voiding_leads_out_of_an_end():
    assert {edge.action for edge in EDGES if edge.source in END_STATES} == {Action.VOID}
    assert not [edge for edge in EDGES if edge.source is CaseState.VOID]


def test_every_state_can_be_reached_from_a_draft():
    reached = {CaseState.DRAFT}
    while more := {edge.target for edge in EDGES if edge.source in reached} - reached:
        reached |= more
    assert reached == set(CaseState)


def test_every_unfinished_case_can_be_withdrawn_by_its_applicant_and_by_nobody_else():
    for state in set(CaseState) - END_STATES:
        assert CASE.step(state, Action.WITHDRAW, by=By.APPLICANT) is CaseState.WITHDRAWN
        with pytest.raises(NotYourMove):
            CASE.step(state, Action.WITHDRAW, by=By.PLATFORM)


@given(STATES, st.sampled_from(Action), st.sampled_from(By))
def test_what_is_not_in_the_table_is_refused(state, action, by):
    known = [edge for edge in EDGES if (edge.source, edge.action) == (state, action)]
    if not known:
        with pytest.raises(IllegalTransition):
            CASE.step(state, action, by=by)
    elif by not in known[0].by:
        with pytest.raises(NotYourMove):
            CASE.step(state, action, by=by)
    else:
        assert CASE.step(state, action, by=by) is known[0].target


@pytest.mark.parametrize("action", [Action.ACCEPT, Action.DECLINE, Action.GRANT, Action.REFUSE, Action.START])
def test_an_applicant_never_decides(action):
    source = next(edge.source for edge in EDGES if edge.action is action)
    with pytest.raises(NotYourMove):
        CASE.step(source, action, by=By.APPLICANT)


@given(STATES, STATES, BASES)
def test_skipped_steps_are_legal_and_lead_where_they_should(current, target, base):
    state = current
    taken = paths.moves(current, target, base=base)
    for action in taken:
        state = CASE.step(state, action, by=By.PLATFORM)
    assert state is (target if taken else current)


@given(STATES, BASES)
def test_an_end_is_left_only_by_voiding(target, base):
    for end in END_STATES:
        taken = paths.moves(end, target, base=base)
        assert taken in ((), (Action.VOID,))
        assert not taken or target is CaseState.VOID


def test_a_result_right_after_acceptance_starts_processing_first():
    assert paths.moves(CaseState.ACCEPTED, CaseState.GRANTED, base=CaseState.PROCESSING) == (Action.START, Action.GRANT)


def _table(heading):
    text = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [tuple(cell.strip().strip("`") for cell in row.strip("|").split("|")) for row in rows]


def test_the_page_lists_every_state_with_its_labels():
    expected = [
        (state.value, label.status, label.label, "yes" if label.finished else "no") for state, label in LABELS.items()
    ]
    assert _table("States") == expected


def test_the_page_lists_every_edge_with_who_may_take_it():
    expected = [(edge.source.value, edge.action.value, edge.target.value, ", ".join(sorted(edge.by))) for edge in EDGES]
    assert _table("Edges") == expected
