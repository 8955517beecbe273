"""When a locked attempt is worked on next: marking a send, recognising a dead sender, taking the next step of the ladder."""

from datetime import datetime, timedelta

from kernel import clock
from payments import ladder, runtime
from payments.models import Attempt


def mark_sending(attempt: Attempt) -> None:
    """Notes on a locked attempt that its bytes are about to be sent; the step to SENDING is the caller's."""
    now = clock.now()
    attempt.sends += 1
    attempt.sent_at = attempt.ladder_from_at = now
    attempt.next_check_at = now + timedelta(seconds=runtime.settings().sending_seconds)


def stale(attempt: Attempt) -> bool:
    """Whether a SENDING attempt is older than any live call: its sender is gone."""
    limit = timedelta(seconds=runtime.settings().sending_seconds)
    return attempt.sent_at is None or clock.now() >= attempt.sent_at + limit


def schedule(attempt: Attempt) -> None:
    """Sets the next time to ask: the ladder, but not later than the end of the order."""
    now = clock.now()
    fast, salt = runtime.settings().fast_checks, f"{attempt.payment_no}:{attempt.checks}"
    # Past the end of the order the ladder starts again: now a close is due, and it should not wait for the next hour.
    since = max(attempt.ladder_from_at, attempt.expires_at) if now >= attempt.expires_at else attempt.ladder_from_at
    due: datetime | None = ladder.next_check(since=since, now=now, fast=fast, salt=salt)
    if due is not None and now < attempt.expires_at < due:
        due = attempt.expires_at
    attempt.next_check_at = None if attempt.review_required else due
