"""The breaker and the retry budget, on a clock that stands still."""

import pytest

from kernel import clock
from kernel.breaker import Breaker, Phase, RetryBudget


class Stopwatch(clock.SystemClock):
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def watch():
    watch = Stopwatch()
    clock.set_clock(watch)
    yield watch
    clock.set_clock(None)


def call(breaker: Breaker, *, failed: bool) -> bool:
    ticket = breaker.admit()
    if ticket is None:
        return False
    breaker.record(ticket, failed=failed)
    return True


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(20):
        call(breaker, failed=True)
    assert breaker.phase is Phase.OPEN
    return breaker


def test_it_opens_at_half_of_twenty_calls_and_not_before(watch):
    breaker = Breaker()
    for number in range(19):
        assert call(breaker, failed=number % 2 == 0)
    assert breaker.phase is Phase.CLOSED
    assert call(breaker, failed=True)
    assert breaker.phase is Phase.OPEN
    assert not call(breaker, failed=False)


def test_a_minority_of_failures_keeps_it_closed(watch):
    breaker = Breaker()
    for number in range(200):
        assert call(breaker, failed=number % 5 == 0)


def test_failures_older_than_the_window_are_forgotten(watch):
    breaker = Breaker()
    for _ in range(19):
        call(breaker, failed=True)
    watch.at += 31
    call(breaker, failed=True)
    assert breaker.phase is Phase.CLOSED


def test_one_probe_after_ten_seconds_closes_it_again(watch):
    breaker = opened()
    watch.at += 9
    assert breaker.admit() is None
    watch.at += 1
    probe = breaker.admit()
    assert probe is not None
    assert breaker.phase is Phase.HALF_OPEN
    assert breaker.admit() is None, "one probe at a time"
    breaker.record(probe, failed=False)
    assert breaker.phase is Phase.CLOSED
    assert call(breaker, failed=True)
    assert breaker.phase is Phase.CLOSED, "it starts counting from nothing"


def test_a_failed_probe_opens_it_for_another_ten_seconds(watch):
    breaker = opened()
    watch.at += 10
    assert call(breaker, failed=True)
    watch.at += 9
    assert breaker.admit() is None
    watch.at += 1
    assert breaker.admit() is not None


def test_a_call_from_before_says_nothing_about_the_probe(watch):
    breaker = Breaker()
    straggler = breaker.admit()
    for _ in range(20):
        call(breaker, failed=True)
    breaker.record(straggler, failed=False)
    assert breaker.phase is Phase.OPEN


def test_a_cancelled_probe_makes_room_for_the_next(watch):
    breaker = opened()
    watch.at += 10
    probe = breaker.admit()
    breaker.forget(probe)
    assert breaker.admit() is not None


def test_a_probe_that_never_reports_is_replaced(watch):
    breaker = opened()
    watch.at += 10
    assert breaker.admit() is not None
    watch.at += 30
    assert breaker.admit() is not None


def test_retries_are_at_most_a_tenth_of_the_traffic():
    budget, retries = RetryBudget(), 0
    assert not budget.spend(), "nothing was earned yet"
    for _ in range(1000):
        budget.earn()
        if budget.spend():
            budget.earn()  # a retry is a call too
            retries += 1
    assert 95 <= retries <= 100


def test_a_quiet_day_does_not_save_up_a_storm():
    budget = RetryBudget()
    for _ in range(10_000):
        budget.earn()
    assert sum(budget.spend() for _ in range(100)) <= 10
