"""The clerk's promise agrees with the published guide: three working days, unless the caller says otherwise."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from sandbox.one_window_clerk import Clerk


@pytest.mark.parametrize(
    ("today", "promised"),
    [
        (date(2026, 11, 16), "2026-11-19"),  # Monday
        (date(2026, 11, 20), "2026-11-25"),  # Friday: the weekend does not count
        (date(2026, 11, 21), "2026-11-25"),  # Saturday
    ],
)
def test_three_working_days_without_the_weekend(today: date, promised: str) -> None:
    noon = datetime(today.year, today.month, today.day, 4, tzinfo=UTC)
    desk = SimpleNamespace(now=lambda: noon)
    clerk = Clerk(desk, None, later=lambda *_: 0, config=dict)  # type: ignore[arg-type]
    case = {"projectNo": "00001", "accepted": False}
    assert clerk._accept(case, {})["promiseDate"] == promised
    assert clerk._accept(case, {"promiseDate": "2026-12-31"})["promiseDate"] == "2026-12-31"
    assert clerk._accept(case, {"days": 1})["promiseDate"] == date.fromordinal(today.toordinal() + 1).isoformat()
