"""The ladder of questions: soon at first, rarer later, a person after a week, never everybody in the same second."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from payments import ladder

START = datetime(2026, 11, 19, 2, 0, tzinfo=UTC)


def walk(*, fast: bool, salt: str = "x") -> list[float]:
    """Seconds after the start at which questions are asked, if each is asked exactly when due."""
    now, asked = START, []
    while (due := ladder.next_check(since=START, now=now, fast=fast, salt=f"{salt}{len(asked)}")) is not None:
        assert due > now
        now = due
        asked.append((now - START).total_seconds())
    return asked


def test_the_official_ladder():
    asked = walk(fast=False)
    assert 4 <= asked[0] <= 6
    assert asked[5] <= 650
    assert 6 * 86400 < asked[-1] <= 8 * 86400
    assert len(asked) == 7 + 24 + 6


def test_while_the_phone_is_in_the_cashier_nobody_waits_longer_than_half_a_minute():
    asked = [a for a in walk(fast=True) if a <= 600]
    assert all(after - before <= 37 for before, after in itertools.pairwise(asked))


@given(st.integers(min_value=0, max_value=6 * 86400), st.text(max_size=8), st.booleans())
def test_the_next_question_is_always_ahead_and_never_a_day_and_a_half_away(elapsed, salt, fast):
    now = START + timedelta(seconds=elapsed)
    due = ladder.next_check(since=START, now=now, fast=fast, salt=salt)
    assert now < due <= now + timedelta(seconds=86400 * 1.2 + 1)


def test_after_a_week_it_is_over():
    assert ladder.next_check(since=START, now=START + timedelta(days=7), fast=True, salt="x") is None


def test_two_attempts_of_one_second_are_not_asked_in_the_same_second():
    dues = {ladder.next_check(since=START, now=START, fast=False, salt=str(n)) for n in range(100)}
    assert len(dues) > 90
