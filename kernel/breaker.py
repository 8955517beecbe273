"""Two guards around a partner: a breaker that stops calls while it is down, and a budget that keeps retries few."""

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
        # Raised by every change of phase: outcomes of calls admitted in an earlier phase say nothing about this one.
        self._generation = 0

    @property
    def phase(self) -> Phase:
        """What the next call meets."""
        if self._opened_at is None:
            return Phase.CLOSED
        return Phase.OPEN if self._probe_since is None else Phase.HALF_OPEN

    def admit(self) -> int | None:
        """A ticket for one call, to be handed to `record` or `forget`; None means the call must not go out."""
        if self._opened_at is not None:
            now = clock.monotonic()
            if now - self._opened_at < _OPEN_SECONDS:
                return None
            if self._probe_since is not None and now - self._probe_since < _WINDOW_SECONDS:
                return None  # somebody else is probing; a probe that never reported is replaced after a while
            self._probe_since = now
            self._generation += 1
        return self._generation

    def record(self, ticket: int, *, failed: bool) -> None:
        """The outcome of an admitted call."""
        if ticket != self._generation:
            return
        now = clock.monotonic()
        if self._probe_since is not None:
            self._turn(now if failed else None)
            return
        bucket = self._seconds.setdefault(int(now), [0, 0])
        bucket[0] += 1
        bucket[1] += failed
        if failed and self._too_many(int(now)):
            self._turn(now)

    def forget(self, ticket: int) -> None:
        """The admitted call ended without an outcome (cancelled, or it never left us): it counts neither way."""
        if ticket == self._generation and self._probe_since is not None:
            self._probe_since = None

    def _turn(self, opened_at: float | None) -> None:
        self._opened_at, self._probe_since = opened_at, None
        self._generation += 1
        self._seconds.clear()

    def _too_many(self, second: int) -> bool:
        for old in [s for s in self._seconds if s <= second - _WINDOW_SECONDS]:
            del self._seconds[old]
        calls = sum(bucket[0] for bucket in self._seconds.values())
        failures = sum(bucket[1] for bucket in self._seconds.values())
        return calls >= _LEAST_CALLS and failures >= calls * _FAILURE_SHARE


class RetryBudget:
    """Lets retries be at most a tenth of the traffic: each call earns a tenth of one, ten may be saved up."""

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
        self._saved -= 1.0 + self._share  # the retry itself will earn its share again
        return True
