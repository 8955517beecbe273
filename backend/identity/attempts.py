"""Counting tries in the database, so that a limit survives restarts and holds across processes. What is counted is
the caller's decision.
"""

import math
from datetime import timedelta

from kernel import clock, crypto, db
from kernel.problems import TooMany

_KEPT = timedelta(days=7)


async def take(*, scope: str, subject: str, limit: int, window: timedelta, detail: str) -> None:
    """Counts one try and raises TooMany (429) when `limit` in `window` is passed.

    Runs as a statement of its own, before the guarded work: a refused or failed try stays counted.
    """
    if db.in_transaction():
        raise RuntimeError("a counted try must not be rolled back with the work it guards")
    now = clock.now()
    rows = await db.fetch(
        "INSERT INTO identity_attempt (scope, subject, window_started_at, tries, created_at) VALUES (?, ?, ?, 1, ?) "
        "ON CONFLICT (scope, subject) DO UPDATE SET "
        "tries = CASE WHEN identity_attempt.window_started_at <= ? THEN 1 ELSE identity_attempt.tries + 1 END, "
        "window_started_at = CASE WHEN identity_attempt.window_started_at <= ? "
        "THEN excluded.window_started_at ELSE identity_attempt.window_started_at END "
        "RETURNING tries, window_started_at",
        scope,
        _subject(scope, subject),
        db.at(now),
        db.at(now),
        db.at(now - window),
        db.at(now - window),
    )
    if rows[0]["tries"] > limit:
        started = db.instant(rows[0]["window_started_at"])
        left = (started + window - now).total_seconds() if started else window.total_seconds()
        raise TooMany(detail, retry_after_seconds=max(1, math.ceil(left)))


async def give_back(*, scope: str, subject: str) -> None:
    """Takes one counted try back: nobody answered, so nothing could be guessed and the person is not to blame."""
    await db.execute(
        "UPDATE identity_attempt SET tries = tries - 1 WHERE scope = ? AND subject = ? AND tries > 0",
        scope,
        _subject(scope, subject),
    )


async def forget(*, scope: str, subject: str) -> None:
    """Clears the count after a success."""
    await db.execute("DELETE FROM identity_attempt WHERE scope = ? AND subject = ?", scope, _subject(scope, subject))


async def remember(*, scope: str, subject: str) -> None:
    """Notes that something went well just now, for `remembered` to ask within a week."""
    now = clock.now()
    await db.execute(
        "INSERT INTO identity_attempt (scope, subject, window_started_at, tries, created_at) VALUES (?, ?, ?, 0, ?) "
        "ON CONFLICT (scope, subject) DO UPDATE SET window_started_at = excluded.window_started_at",
        scope,
        _subject(scope, subject),
        db.at(now),
        db.at(now),
    )


async def remembered(*, scope: str, subject: str) -> bool:
    """Whether `remember` was called for this subject within a week."""
    rows = await db.fetch(
        "SELECT 1 FROM identity_attempt WHERE scope = ? AND subject = ? AND window_started_at > ?",
        scope,
        _subject(scope, subject),
        db.at(clock.now() - _KEPT),
    )
    return bool(rows)


async def sweep() -> int:
    """Removes windows that ended more than a week ago, and what was remembered then."""
    return await db.execute("DELETE FROM identity_attempt WHERE window_started_at < ?", db.at(clock.now() - _KEPT))


def _subject(scope: str, subject: str) -> str:
    # The subject may be a login name or a number: only its keyed digest is stored.
    return crypto.blind_index(subject, purpose=f"identity_attempt:{scope}")
