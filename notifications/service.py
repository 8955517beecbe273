"""Commands of notifications: telling somebody something, reading it, and recording what the phone reports about subscriptions."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from kernel import clock, crypto, db, ids, outbox
from kernel.problems import FieldError, Invalid
from notifications import quota
from notifications.channels import inbox
from notifications.channels.wechat_values import kind_of
from notifications.directory import index_of
from notifications.models import Message, WechatTemplate
from notifications.runtime import runtime
from notifications.templates import TEMPLATES, Value

DELIVER = "notifications.deliver"
_ANSWERS = frozenset({"accept", "reject", "ban", "filter"})


class Body(msgspec.Struct, frozen=True):
    """What is sealed of a message."""

    text: str
    values: dict[str, str]


def body_context(message_no: str) -> str:
    """Where a sealed body belongs."""
    return f"notifications_message.body:{message_no}"


async def notify(
    *, key: str, recipient_ref: str, template: str, values: Mapping[str, Value], page: str, link_ref: str
) -> str:
    """Writes a message into the person's inbox and promises to carry it further; joins the caller's transaction.

    `key` names the fact being told (at most 160 characters): the same key again changes nothing and answers the same
    number. `page` is a mini-program path without personal data. Raises KeyError or ValueError for a wrong template or
    values, which are bugs of the caller.
    """
    chosen = TEMPLATES[template]
    written = chosen.written(values)
    message_no = ids.public_id()
    body = msgspec.json.encode(Body(chosen.rendered(written), written))
    async with db.transaction():
        rows = await db.fetch(
            "INSERT INTO notifications_message (message_no, key, recipient_ref, template, title, body_sealed, page, "
            "link_ref, unread, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING RETURNING id",
            message_no,
            key,
            recipient_ref,
            chosen.name,
            chosen.title,
            crypto.seal(body, context=body_context(message_no)),
            page,
            link_ref,
            True,
            db.at(clock.now()),
        )
        if not rows:
            return (await Message.get(key=key)).message_no
        await inbox.deposit(await Message.get(id=rows[0]["id"]))
        await outbox.publish(
            DELIVER,
            key=f"{DELIVER}:{message_no}",
            payload={"message_no": message_no},
            # One person's messages leave in the order in which the facts happened.
            lane=f"recipient:{recipient_ref}",
        )
    return message_no


async def mark_read(*, recipient_ref: str, message_nos: tuple[str, ...] | None = None) -> int:
    """Marks the person's own messages as read (all of them without a list); how many were unread."""
    if message_nos is not None and not message_nos:
        return 0
    only = f" AND message_no IN ({', '.join('?' * len(message_nos))})" if message_nos else ""
    async with db.transaction():
        return await db.execute(
            f"UPDATE notifications_message SET unread = ? WHERE recipient_ref = ? AND unread = ?{only}",
            False,
            recipient_ref,
            True,
            *(message_nos or ()),
        )


async def record_subscriptions(*, recipient_ref: str, results: Mapping[str, str]) -> int:
    """What `wx.requestSubscribeMessage` answered on the phone, template id → accept | reject | ban | filter.

    Counted only where WeChat does not push the same tap to us; how many taps were counted. Raises Invalid.
    """
    known = {template.template_id: template for template in await WechatTemplate.all()}
    errors = [
        FieldError(f"/results/{template_id[:64]}", "没有这个订阅模板" if template_id not in known else "订阅结果不认识")
        for template_id, answer in results.items()
        if template_id not in known or answer not in _ANSWERS
    ]
    if errors or len(results) > 5:
        raise Invalid(errors=errors[:5])
    if not runtime().count_client_reports:
        return 0
    openid = (await runtime().directory.addresses(recipient_ref)).openid
    if openid is None:
        return 0
    counted, now_s = 0, int(clock.now().timestamp())
    async with db.transaction():
        for template_id, answer in sorted(results.items()):
            if answer == "accept":
                counted += await quota.accept(
                    address_index=index_of(openid), template_id=template_id, tapped_at_s=now_s
                )
    return counted


async def put_wechat_template(
    *, name: str, template_id: str, term: Literal["one_time", "long_term"], mapping: Mapping[str, str]
) -> None:
    """Says which WeChat template carries one of ours: our field → the key in the console. Replaces an earlier one.

    Raises ValueError when the template, a field or a key is unknown.
    """
    fields = TEMPLATES[name].fields if name in TEMPLATES else {}
    wrong = [f"{ours}={key}" for ours, key in mapping.items() if ours not in fields or kind_of(key) is None]
    if not mapping or wrong or term not in (quota.ONE_TIME, quota.LONG_TERM) or not 0 < len(template_id) <= 64:
        raise ValueError(f"{name}: {wrong or 'template, term or mapping'}")
    async with db.transaction():
        await WechatTemplate.filter(name=name).delete()
        await WechatTemplate.create(name=name, template_id=template_id, term=term, mapping=dict(mapping))
