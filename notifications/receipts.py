"""What WeChat pushes about subscribe messages: permissions given and taken, and whether a message reached the phone."""

from datetime import timedelta

import structlog

from kernel import clock, db
from kernel.wechat_push import PushEvent
from notifications import quota
from notifications.delivering import step
from notifications.directory import index_of
from notifications.models import Delivery
from notifications.states import DELIVERY, DeliveryAction, DeliveryState

log = structlog.get_logger(__name__)

_OPEN = (DeliveryState.SENDING.value, DeliveryState.ACCEPTED.value, DeliveryState.UNKNOWN.value)
_RECEIPT_HOURS = 24


async def apply(event: PushEvent) -> str:
    """The effect of one event, in the caller's transaction; a short note about it. Unknown events have none."""
    address_index = index_of(event.openid)
    for entry in event.entries:
        template_id = entry.get("TemplateId", "")
        if not 0 < len(template_id) <= 64:
            continue
        match event.name, entry.get("SubscribeStatusString"):
            case "subscribe_msg_popup_event", "accept":
                await quota.accept(address_index=address_index, template_id=template_id, tapped_at_s=event.created_at_s)
            case "subscribe_msg_change_event", "reject":
                await quota.reject(address_index=address_index, template_id=template_id)
            case "subscribe_msg_sent_event", _:
                await _receipt(address_index, template_id, entry)
    return event.name[:60] if event.entries else f"{event.name[:60]}: ignored"


async def _receipt(address_index: str, template_id: str, entry: dict[str, str]) -> None:
    """Best effort: the call gave no message id, so the oldest open one of this person and template is meant."""
    since = clock.now() - timedelta(hours=_RECEIPT_HOURS)
    rows = await db.fetch(
        "SELECT id FROM notifications_delivery WHERE address_index = ? AND template_id = ? AND state IN (?, ?, ?) "
        "AND changed_at > ? ORDER BY id LIMIT 1",
        address_index,
        template_id,
        *_OPEN,
        db.at(since),
    )
    row = await db.lock(Delivery, id=rows[0]["id"]) if rows else None
    code = entry.get("ErrorCode", "")
    action = DeliveryAction.CONFIRM if code == "0" else DeliveryAction.REPORT_FAILURE
    if row is None or not DELIVERY.allows(row.state, action, by="partner"):
        return
    number = int(code) if code.isascii() and code.isdigit() and len(code) < 9 else None
    await step(row, action, by="partner", code=number, note=entry.get("ErrorStatus"))
    if action is DeliveryAction.REPORT_FAILURE:
        log.warning("message.not_delivered", channel=row.channel, errcode=number)
