"""Reads of notifications: the person's inbox and what their phone may ask permission for."""

import msgspec

from kernel import crypto
from notifications import quota
from notifications.directory import index_of
from notifications.models import Delivery, Message, WechatTemplate
from notifications.runtime import runtime
from notifications.service import Body, body_context
from notifications.states import DELIVERY
from notifications.templates import TEMPLATES
from notifications.views import ChannelView, MessagePage, MessageView, SubscriptionView

_MOST = 50
_UNREAD_SHOWN = 99


async def inbox_page(*, recipient_ref: str, cursor: str | None = None, limit: int = 20) -> MessagePage:
    """One page, newest first; `cursor` is the number of the last message seen. A foreign cursor starts from the top."""
    limit = max(1, min(limit, _MOST))
    mine = Message.filter(recipient_ref=recipient_ref)
    last = await mine.get_or_none(message_no=cursor) if cursor else None
    rows = await (mine.filter(id__lt=last.id) if last else mine).order_by("-id").limit(limit + 1)
    shown = rows[:limit]
    channels = await _channels([row.id for row in shown])
    unread = await Message.filter(recipient_ref=recipient_ref, unread=True).limit(_UNREAD_SHOWN).values_list("id")
    return MessagePage(
        messages=tuple(_view(row, channels.get(row.id, ())) for row in shown),
        next_cursor=shown[-1].message_no if len(rows) > limit else None,
        unread=len(unread),
    )


async def subscriptions(*, recipient_ref: str) -> tuple[SubscriptionView, ...]:
    """Every WeChat template in use, with what this person has granted for it."""
    openid = (await runtime().directory.addresses(recipient_ref)).openid
    views = []
    for template in await WechatTemplate.all().order_by("name"):
        standing = quota.Standing(0, False, False)
        if openid is not None:
            standing = await quota.of(address_index=index_of(openid), template_id=template.template_id)
        title = TEMPLATES[template.name].title
        views.append(
            SubscriptionView(
                template.name, title, template.template_id, template.term, standing.available, standing.accepted
            )
        )
    return tuple(views)


async def _channels(message_ids: list[int]) -> dict[int, tuple[ChannelView, ...]]:
    found: dict[int, tuple[ChannelView, ...]] = {}
    for row in await Delivery.filter(message_id__in=message_ids).order_by("id"):
        label = DELIVERY.label(row.state)
        view = ChannelView(row.channel, label.status, label.label)
        found[row.message_id] = (*found.get(row.message_id, ()), view)  # type: ignore[attr-defined]
    return found


def _view(row: Message, channels: tuple[ChannelView, ...]) -> MessageView:
    sealed = crypto.unseal(row.body_sealed, context=body_context(row.message_no))
    return MessageView(
        message_no=row.message_no,
        template=row.template,
        title=row.title,
        text=msgspec.json.decode(sealed, type=Body).text,
        page=row.page,
        link_ref=row.link_ref,
        at=row.created_at,
        read=not row.unread,
        channels=channels,
    )
