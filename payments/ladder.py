"""When an attempt is asked about again: the ladder of checks, spread so that a busy evening does not ask in step. Pure."""

import hashlib
from datetime import datetime, timedelta

_HOUR, _DAY = 3600, 86400
_FIRST = (5, 30, 60, 180, 300, 600, 1800)
_FAST = (5, *range(30, 601, 30), 1800)  # while the phone is in the cashier
_REFUND = (60, 300, 600, 1200, 1800)
LAST_SECONDS = 7 * _DAY
_EARLIEST = 0.79


def next_check(*, since: datetime, now: datetime, fast: bool, salt: str) -> datetime | None:
    """The next instant to ask, or None when the ladder is over and a person must look.

    `since` is when the attempt was sent, or when closing began. The jitter comes
    from `salt`, so it can be replayed: up to a fifth early, never late.
    """
    return _next(_FAST if fast else _FIRST, since=since, now=now, salt=salt)


def next_refund_check(*, since: datetime, now: datetime, salt: str) -> datetime | None:
    """The same for a refund; `since` is its first send. A bank card takes up to three working days."""
    return _next(_REFUND, since=since, now=now, salt=salt)


def _next(first: tuple[int, ...], *, since: datetime, now: datetime, salt: str) -> datetime | None:
    elapsed, before = (now - since).total_seconds(), 0
    for step in _steps(first):
        # A question that came a little early, by its jitter, was this step's question.
        if elapsed < before + _EARLIEST * (step - before):
            return since + timedelta(seconds=step - (step - before) * _share(salt))
        before = step
    return None


def _steps(first: tuple[int, ...]) -> list[int]:
    return [*first, *range(_HOUR, _DAY + 1, _HOUR), *range(2 * _DAY, LAST_SECONDS + 1, _DAY)]


def _share(salt: str) -> float:
    digest = hashlib.sha256(salt.encode()).digest()
    return 0.2 * int.from_bytes(digest[:4], "big") / 2**32
