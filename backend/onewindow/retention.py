"""Forgetting what need not be kept: bodies that arrived, and the record of calls, each after its time, in bounded batches."""

from datetime import timedelta

from backend.onewindow.states import ForwardingState
from kernel import clock, db

# The platform holds what it acknowledged; until then the bytes are needed to be repeated.
BODY_DAYS = 30
# Audit records are kept for at least six months.
CALL_DAYS = 200
_BATCH = 1000


async def sweep() -> None:
    """The job; safe to repeat."""
    now = clock.now()
    await db.execute(
        "UPDATE onewindow_forwarding SET body_sealed = NULL WHERE id IN (SELECT id FROM onewindow_forwarding "
        "WHERE state = ? AND body_sealed IS NOT NULL AND settled_at < ? ORDER BY settled_at LIMIT ?)",
        ForwardingState.ACKNOWLEDGED.value,
        db.at(now - timedelta(days=BODY_DAYS)),
        _BATCH,
    )
    await db.execute(
        "DELETE FROM onewindow_call WHERE id IN (SELECT id FROM onewindow_call WHERE created_at < ? ORDER BY created_at LIMIT ?)",
        db.at(now - timedelta(days=CALL_DAYS)),
        _BATCH,
    )
