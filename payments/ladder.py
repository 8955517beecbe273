"""When an attempt is asked about again: the ladder of checks, spread so that a busy evening does not ask in step. Pure."""

import hashlib
from datetime import datetime, timedelta

_HOUR, _DAY = 3600, 86400
_FIRST = (5, 30, 60, 180, 300, 600, 1800)
_FAST = (5, *range(30, 601, 30), 1800)  # while the phone is in the cashier
LAST_SECONDS = 7 * _DAY


def next_check(*, since: datetime, now: datetime, fast: bool, salt: str) -> datetime | None:
    """The next instant to ask, or None when the ladder is over and a person must look.

    `since` is when the attempt was sent, or when closing began. The jitter of ±20 % comes from `salt`, so it can be replayed.
    """
    elapsed = (now - since).total_seconds()
    for step in _steps(fast):
        if step > elapsed + 1:
            gap = step - elapsed
            return now + timedelta(seconds=gap * _factor(salt))
    return None


def _steps(fast: bool) -> list[int]:
    first = _FAST if fast else _FIRST
    return [*first, *range(_HOUR, _DAY + 1, _HOUR), *range(2 * _DAY, LAST_SECONDS + 1, _DAY)]


def _factor(salt: str) -> float:
    digest = hashlib.sha256(salt.encode()).digest()
    return 0.8 + 0.4 * int.from_bytes(digest[:4], "big") / 2**32
