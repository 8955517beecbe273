"""Two guards around a partner: the breaker that stops calling one that is down, and the budget that keeps retries a small share."""

from enum import IntEnum

from kernel import clock

_WINDOW_SECONDS = 30
_LEAST_CALLS = 20
_FAILURE_SHARE = 0.5
_OPEN_SECONDS = 10.0


class Phase(IntEnum):
    """closed = calls pass, half open = one probe is under way, open = nothing passes."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """Opens when at least half of at least 20 calls within 30 s failed; after 10 s one probe decides."""

    def __init__(self) -> None:
        self._seconds: dict[int, list[int]] = {}  # second → [calls, failures]
        self._opened_at: float | None = None
        self._probe_since: float | None = None

    @property
    def phase(self) -> Phase:
        """What the next call meets."""
        if self._opened_at is None:
            return Phase.CLOSED
        return Phase.OPEN if self._probe_since is None else Phase.HALF_OPEN

    def admit(self) -> bool:
        """Whether a call may go out. Every admitted call must be followed by `record` or `forget`."""
        if self._opened_at is None:
            return True
        now = clock.monotonic()
        if now - self._opened_at < _OPEN_SECONDS:
            return False
        if self._probe_since is not None and now - self._probe_since < _WINDOW_SECONDS:
            return False  # somebody else is probing; a probe that never reported is replaced after a while
        self._probe_since = now
        return True

    def record(self, *, failed: bool) -> None:
        """The outcome of an admitted call."""
        now = clock.monotonic()
        if self._opened_at is not None:
            self._seconds.clear()
            self._probe_since = None
            self._opened_at = now if failed else None
            return
        bucket = self._seconds.setdefault(int(now), [0, 0])
        bucket[0] += 1
        bucket[1] += failed
        if failed and self._too_many(int(now)):
            self._opened_at, self._probe_since = now, None

    def forget(self) -> None:
        """The admitted call ended without an outcome (cancelled, or it never left us): it counts neither way."""
        self._probe_since = None

    def _too_many(self, second: int) -> bool:
        for old in [s for s in self._seconds if s <= second - _WINDOW_SECONDS]:
            del self._seconds[old]
        calls = sum(bucket[0] for bucket in self._seconds.values())
        failures = sum(bucket[1] for bucket in self._seconds.values())
        return calls >= _LEAST_CALLS and failures >= calls * _FAILURE_SHARE


class RetryBudget:
    """Lets retries be at most a tenth of the traffic: each call earns a tenth of a retry, unused ones are kept up to ten."""

    def __init__(self, *, share: float = 0.1, most: float = 10.0) -> None:
        self._share, self._most = share, most
        self._saved = 0.0

    def earn(self) -> None:
        """One first attempt was made."""
        self._saved = min(self._most, self._saved + self._share)

    def spend(self) -> bool:
        """Takes one retry; False means: do not retry now, leave it to the outbox."""
        if self._saved < 1.0 - 1e-9:
            return False
        self._saved -= 1.0
        return True
