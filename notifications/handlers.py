"""Reactions of notifications: carrying messages, reading WeChat's pushes, and ending what has waited too long."""

import structlog

from kernel import db, inbox
from kernel.jobs import Job
from kernel.outbox import Delivery, Topic
from kernel.wechat_push import PushUnreadable, read_event
from notifications import delivering, receipts
from notifications.service import DELIVER

log = structlog.get_logger(__name__)


async def on_deliver(delivery: Delivery) -> None:
    """A message wants to be carried further than the inbox."""
    await delivering.deliver(delivery.payload["message_no"], attempts=delivery.attempts)


async def on_push(delivery: Delivery) -> None:
    """A stored push of WeChat. An unreadable or unknown one is noted and done: WeChat has its "success" already."""
    inbox_id = delivery.payload["inbox_id"]
    message = await inbox.load(inbox_id)
    try:
        event = read_event(message.body)
    except PushUnreadable:
        log.error("wechat.push_unreadable", inbox_id=inbox_id)
        event = None
    async with db.transaction():
        note = "unreadable" if event is None else await receipts.apply(event)
        await inbox.mark_handled(inbox_id, note)
        await delivery.finish()


TOPICS: tuple[Topic, ...] = (
    Topic(name=DELIVER, handler=on_deliver, max_age_hours=24 * 31, timeout_seconds=30, concurrency=8),
    Topic(name="inbox.wechat", handler=on_push, max_age_hours=72, concurrency=8),
)
SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {delivering.FAILED_EVENT: ()}
JOBS: tuple[Job, ...] = (
    Job(name="notifications.settle_unknown", every_seconds=3600, run=delivering.settle_unknown, timeout_seconds=60),
)
