"""A clock that only moves when a test says so."""

from datetime import UTC, datetime, timedelta


class FrozenClock:
    """Stands still at a Thursday morning in Beijing until `advance` is called."""

    def __init__(self, start: datetime = datetime(2026, 11, 19, 2, 0, tzinfo=UTC)) -> None:
        self._now, self._ticks = start, 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._ticks

    def advance(self, **span: float) -> None:
        step = timedelta(**span)
        self._now += step
        self._ticks += step.total_seconds()
