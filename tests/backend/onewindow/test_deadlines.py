"""When a correction is due, by the State's own calendar."""

from datetime import date, datetime

import pytest

from backend.onewindow.deadlines import is_working_day, last_day
from kernel.clock import SHANGHAI


def asked(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("start", "days", "unit", "expected"),
    [
        ("2024-09-27T10:00", 1, "W", date(2024, 9, 29)),  # a make-up working Sunday
        ("2024-09-30T10:00", 1, "W", date(2024, 10, 8)),  # National Day week
        ("2024-09-30T10:00", 3, "D", date(2024, 10, 3)),
        ("2024-03-01T23:59", 5, "W", date(2024, 3, 8)),
    ],
)
def test_the_first_day_is_out_and_the_last_is_in(start: str, days: int, unit: str, expected: date) -> None:
    assert last_day(asked(start), days=days, unit=unit) == expected


def test_a_year_without_a_published_calendar_is_counted_by_weekdays() -> None:
    assert is_working_day(date(2099, 1, 5))
    assert not is_working_day(date(2099, 1, 3))
