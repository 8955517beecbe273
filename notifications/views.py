"""What leaves this package: messages as their owner sees them, and the standing of subscriptions."""

from datetime import datetime

import msgspec


class ChannelView(msgspec.Struct, frozen=True):
    """How a message fared on one channel: a stable word and its Chinese label."""

    channel: str
    status: str
    label: str


class MessageView(msgspec.Struct, frozen=True):
    """One message. `page` is the mini-program page it opens, `link_ref` the thing it is about."""

    message_no: str
    template: str
    title: str
    text: str
    page: str
    link_ref: str
    at: datetime
    read: bool
    channels: tuple[ChannelView, ...]


class MessagePage(msgspec.Struct, frozen=True):
    """Newest first. `next_cursor` is None on the last page; `unread` counts up to 99."""

    messages: tuple[MessageView, ...]
    next_cursor: str | None
    unread: int


class SubscriptionView(msgspec.Struct, frozen=True):
    """One WeChat template the phone may ask for. `available` is how many messages may still be sent (one_time only)."""

    template: str
    title: str
    template_id: str
    term: str
    available: int
    accepted: bool
