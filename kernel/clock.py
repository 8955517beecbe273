"""The only place that reads a clock; everything else asks here, so tests and simulations can own time."""

import time
from datetime import UTC, date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

# Everything people see is in Beijing time; everything stored is in UTC.
SHANGHAI = ZoneInfo("Asia/Shanghai")


class Clock(Protocol):
    """What a replacement clock must offer."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never jump, for deadlines inside one process."""
        return time.monotonic()


_clock: Clock = SystemClock()


def set_clock(clock: Clock | None) -> None:
    """Replaces the clock of this process; None puts the machine's back."""
    global _clock
    _clock = clock or SystemClock()


def is_machine() -> bool:
    """Whether this process reads the machine's own clock (tests and simulations do not)."""
    return isinstance(_clock, SystemClock)


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return _clock.now()


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return int(_clock.now().timestamp() * 1000)


def monotonic() -> float:
    """Seconds that never jump."""
    return _clock.monotonic()


def today() -> date:
    """The calendar day in Asia/Shanghai."""
    return _clock.now().astimezone(SHANGHAI).date()


def local(instant: datetime) -> datetime:
    """The same instant with the +08:00 offset people expect to read."""
    return instant.astimezone(SHANGHAI)


def local_at(seconds: float) -> datetime:
    """The instant so many seconds after the epoch, with the same offset."""
    return datetime.fromtimestamp(seconds, SHANGHAI)
