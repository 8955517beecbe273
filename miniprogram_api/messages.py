"""The inbox in the app, and what the subscribe dialog answered."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

import notifications
from miniprogram_api.endpoints import CITIZEN, Call, endpoint
from miniprogram_api.pages import PageQuery
from notifications import MessageView, SubscriptionView

_TAG = "消息"
TemplateId = Annotated[str, Meta(min_length=1, max_length=64)]
Answer = Literal["accept", "reject", "ban", "filter"]
MessageNo = Annotated[str, Meta(pattern=r"^[a-z2-7]{26}$", description="消息编号不对")]


class MessageList(msgspec.Struct, frozen=True):
    """Messages, newest first; `unread` counts up to 99."""

    items: tuple[MessageView, ...]
    next_cursor: str | None
    unread: int


class SubscriptionList(msgspec.Struct, frozen=True):
    """Every template the phone may ask for."""

    items: tuple[SubscriptionView, ...]


class DialogResult(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What `wx.requestSubscribeMessage` answered, template id → answer."""

    results: Annotated[
        dict[TemplateId, Answer], Meta(min_length=1, max_length=5, description="请按微信返回的结果原样提交，最多 5 项")
    ]


class MarkRead(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which messages have been read; without a list all of them."""

    message_nos: Annotated[list[MessageNo], Meta(max_length=100, description="一次最多 100 条")] | None = None


class Counted(msgspec.Struct, frozen=True):
    """How many were affected."""

    count: int


@endpoint("GET", "/messages", summary="我的消息", tag=_TAG, roles=CITIZEN, query=PageQuery, answer=MessageList)
async def messages(call: Call) -> MessageList:
    page = await notifications.inbox_page(
        recipient_ref=call.actor.account_ref, cursor=call.query.cursor, limit=call.query.limit
    )
    return MessageList(page.messages, page.next_cursor, page.unread)


@endpoint("POST", "/messages/read", summary="标记已读", tag=_TAG, roles=CITIZEN, body=MarkRead, answer=Counted)
async def mark_read(call: Call, body: MarkRead) -> Counted:
    chosen = tuple(body.message_nos) if body.message_nos is not None else None
    return Counted(await notifications.mark_read(recipient_ref=call.actor.account_ref, message_nos=chosen))


@endpoint(
    "GET",
    "/messages/subscriptions",
    summary="可以订阅的消息和剩余次数",
    tag=_TAG,
    roles=CITIZEN,
    answer=SubscriptionList,
)
async def subscriptions(call: Call) -> SubscriptionList:
    return SubscriptionList(await notifications.subscriptions(recipient_ref=call.actor.account_ref))


@endpoint(
    "POST",
    "/messages/subscriptions",
    summary="上报订阅弹窗的结果",
    tag=_TAG,
    roles=CITIZEN,
    body=DialogResult,
    answer=Counted,
    limit="60/minute",
)
async def report(call: Call, body: DialogResult) -> Counted:
    results = {template: str(answer) for template, answer in body.results.items()}
    return Counted(await notifications.record_subscriptions(recipient_ref=call.actor.account_ref, results=results))
