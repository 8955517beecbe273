"""The parcel table and the rule of event time: any order and repetition of carrier events ends in the same state."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.delivery.states import (
    EDGES,
    LABELS,
    OURS,
    PARCEL,
    STAGES,
    By,
    Canonical,
    Mark,
    ParcelAction,
    ParcelState,
    Position,
    follow,
    mark_of,
)
from kernel.state_machine import IllegalTransition, NotYourMove

START = datetime(2026, 11, 20, tzinfo=UTC)
BOOKED = Position(ParcelState.BOOKED, mark_of(ParcelState.BOOKED, START))
Event = tuple[Canonical, int]
LIMIT = 3


def play(events: list[Event], start: Position = BOOKED) -> list[Position]:
    """Arrival of events, duplicates dropped as the unique key of the event table does."""
    seen: set[Event] = set()
    positions = [start]
    for canonical, minute in events:
        if (canonical, minute) not in seen:
            seen.add((canonical, minute))
            at = START + timedelta(minutes=minute)
            positions.append(follow(positions[-1], canonical, at, attempt_limit=LIMIT))
    return positions


events = st.lists(st.tuples(st.sampled_from(Canonical), st.integers(0, 30)), max_size=12)


@given(events, st.randoms(use_true_random=False))
def test_any_permutation_and_repetition_ends_in_the_same_state(arrived: list[Event], random) -> None:
    shuffled = arrived + random.choices(arrived, k=3) if arrived else []
    random.shuffle(shuffled)
    assert play(shuffled)[-1] == play(arrived)[-1]


@given(events)
def test_a_parcel_never_moves_back(arrived: list[Event]) -> None:
    positions = play(arrived)
    for before, after in itertools.pairwise(positions):
        assert after.mark >= before.mark
        assert STAGES[after.state] >= STAGES[before.state]


@given(events)
def test_every_move_that_event_time_makes_is_an_edge_of_the_table(arrived: list[Event]) -> None:
    """What `follow` does, the machine allows the carrier (or the system, at the limit)."""
    for before, after in itertools.pairwise(play(arrived)):
        if after.state != before.state:
            targets = {e.target for e in EDGES if e.source == before.state and e.by & {"carrier", "system"}}
            reachable = targets | ({ParcelState.HELD} if ParcelState.ATTEMPT_FAILED in targets else set())
            assert after.state in reachable


@given(events)
def test_no_word_of_a_carrier_makes_a_certificate_delivered(arrived: list[Event]) -> None:
    assert play([*arrived, (Canonical.SIGNED, 99)])[-1].state not in (ParcelState.DELIVERED, ParcelState.COLLECTED)


@pytest.mark.parametrize("state", [ParcelState.DELIVERED, ParcelState.COLLECTED, ParcelState.CANCELLED])
@given(arrived=events)
def test_what_we_finished_ourselves_stays(state: ParcelState, arrived: list[Event]) -> None:
    ours = Position(state, Mark(OURS, START, 0))
    assert play(arrived, ours)[-1].state == state


def test_a_late_scan_does_not_pull_a_parcel_from_the_door() -> None:
    road = [
        (Canonical.PICKED_UP, 1),
        (Canonical.OUT_FOR_DELIVERY, 5),
        (Canonical.IN_TRANSIT, 3),
        (Canonical.IN_TRANSIT, 7),
    ]
    assert play(road)[-1].state is ParcelState.OUT_FOR_DELIVERY


def test_three_failures_hold_the_parcel_whatever_their_order() -> None:
    failures = [(Canonical.ATTEMPT_FAILED, m) for m in (2, 4, 6)]
    for order in itertools.permutations(failures):
        positions = play([(Canonical.OUT_FOR_DELIVERY, 1), *order])
        assert [p.state for p in positions[-2:]] == [ParcelState.ATTEMPT_FAILED, ParcelState.HELD]
    assert play([*failures, (Canonical.OUT_FOR_DELIVERY, 8)])[-1].state is ParcelState.OUT_FOR_DELIVERY


def test_movement_after_the_carriers_own_cancellation_shows_that_it_was_none() -> None:
    for order in itertools.permutations([(Canonical.CANCELLED, 3), (Canonical.PICKED_UP, 2)]):
        assert play(list(order))[-1].state is ParcelState.PICKED_UP


def test_only_code_exception_or_a_named_clerk_deliver() -> None:
    into_delivered = {(e.action, frozenset(e.by)) for e in EDGES if e.target is ParcelState.DELIVERED}
    assert {action for action, _ in into_delivered} == {ParcelAction.HAND_OVER, ParcelAction.RECORD_EXCEPTION}
    assert frozenset().union(*(by for _, by in into_delivered)) == {By.COURIER, By.CLERK}
    assert not any(
        e.target is ParcelState.DELIVERED and By.CLERK in e.by and e.action is ParcelAction.HAND_OVER for e in EDGES
    )


def test_cancelled_only_before_pick_up() -> None:
    sources = {e.source for e in EDGES if e.target is ParcelState.CANCELLED}
    assert max(STAGES[s] for s in sources if s is not ParcelState.WAITING_PICKUP) < STAGES[ParcelState.PICKED_UP]
    with pytest.raises(IllegalTransition):
        PARCEL.step(ParcelState.IN_TRANSIT, ParcelAction.CANCEL, by=By.SYSTEM)


def test_a_courier_cannot_do_what_belongs_to_the_clerk() -> None:
    with pytest.raises(NotYourMove):
        PARCEL.step(ParcelState.DELIVERED, ParcelAction.REOPEN, by=By.COURIER)
    with pytest.raises(NotYourMove):
        PARCEL.step(ParcelState.RETURNING, ParcelAction.ARRIVE_BACK, by=By.COURIER)


def test_delivered_is_left_only_by_an_audited_correction() -> None:
    assert [(e.action, e.by) for e in EDGES if e.source is ParcelState.DELIVERED] == [(ParcelAction.REOPEN, {By.CLERK})]
    assert not [e for e in EDGES if e.source is ParcelState.COLLECTED]


def test_every_state_has_a_public_word_of_the_standard() -> None:
    words = {"NONE", "WAITING_PICKUP", "COLLECTED", "BOOKED", "IN_TRANSIT", "OUT_FOR_DELIVERY", "DELIVERED"}
    words |= {"REFUSED_BY_RECEIVER", "UNDELIVERABLE", "RETURNED_TO_WINDOW"}
    assert set(LABELS) == set(ParcelState)
    assert {label.status for label in LABELS.values()} == words
    assert set(STAGES) == set(ParcelState)
