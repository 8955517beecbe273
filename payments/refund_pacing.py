"""When a locked refund is worked on next: marking a send, recognising a dead sender, the ladder, the pause between two parts."""

from datetime import datetime, timedelta

from kernel import clock
from payments import ladder, runtime
from payments.models import Refund
from payments.refund_states import RefundState

_CLOCKS_DIFFER = 1  # the channel counts from when it took the last part, not from when we sent it
_ABNORMAL_EVERY = timedelta(days=1)  # a person works on it; the merchant site may settle it any time


def mark_sending(refund: Refund) -> None:
    """Notes on a locked refund that its bytes are about to be sent."""
    now = clock.now()
    refund.sends += 1
    refund.sent_at = now
    # The ladder counts from the first send: a number that is sent again and again must still come to a person's eyes.
    refund.ladder_from_at = refund.ladder_from_at or now
    refund.next_check_at = now + timedelta(seconds=runtime.settings().sending_seconds)


def stale(refund: Refund) -> bool:
    """Whether a SENDING refund is older than any live call: its sender is gone, or it waits to be sent again."""
    limit = timedelta(seconds=runtime.settings().sending_seconds)
    return refund.sent_at is None or clock.now() >= refund.sent_at + limit


def schedule(refund: Refund) -> None:
    """Sets the next time to ask, never sooner than the channel answers. At the end of the ladder nothing is set."""
    now = clock.now()
    if refund.state == RefundState.ABNORMAL:
        refund.next_check_at = now + _ABNORMAL_EVERY
        return
    if refund.review_required:
        refund.next_check_at = None
        return
    since = refund.ladder_from_at or now
    due = ladder.next_refund_check(since=since, now=now, salt=f"{refund.refund_no}:{refund.checks}")
    if due is not None and refund.sent_at is not None:
        due = max(due, refund.sent_at + timedelta(seconds=_first_query_seconds(refund.channel)))
    refund.next_check_at = due


async def pause_until(refund: Refund) -> datetime | None:
    """The earliest instant the channel takes this part, counted from the last one sent; None when it may go now."""
    seconds = runtime.gateway(refund.channel).refunds.capabilities.least_interval_seconds
    last = await Refund.filter(attempt_id=refund.attempt_id, sent_at__isnull=False).order_by("-sent_at").first()
    if last is None or last.id == refund.id or last.sent_at is None:
        return None
    until: datetime = last.sent_at + timedelta(seconds=seconds + _CLOCKS_DIFFER)
    return until if clock.now() < until else None


def _first_query_seconds(channel: str) -> int:
    """How long the channel wants to be left alone; a channel that was switched off must not stop the timer of the others."""
    known = {g.channel: g.refunds.capabilities.first_query_seconds for g in runtime.gateways()}
    return known.get(channel, 0)
