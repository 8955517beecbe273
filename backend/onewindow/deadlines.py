"""When a correction asked by the platform is due: working or natural days counted in Beijing, with the State's calendar.

The first day is not counted, the last one is. A year whose holidays are not published
yet is counted by weekdays, which can only be too strict.
"""

from datetime import date, datetime, timedelta

import chinese_calendar

from kernel import clock

MAX_DAYS = 366


def is_working_day(day: date) -> bool:
    """Holidays and make-up working weekends of the published calendars."""
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:  # how the library says that a year's calendar is not published yet
        return day.weekday() < 5


def last_day(asked_at: datetime, *, days: int, unit: str) -> date:
    """The day on which the time ends; `unit` is W for working days, anything else counts natural days."""
    day = clock.local(asked_at).date()
    left = min(max(days, 1), MAX_DAYS)
    while left:
        day += timedelta(days=1)
        if unit.upper() not in ("W", "G") or is_working_day(day):
            left -= 1
    return day
