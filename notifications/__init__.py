"""Telling people things: the inbox in the app, WeChat's subscribe messages, and what became of each. Never knows a case."""

from notifications.directory import Addresses, Directory
from notifications.queries import inbox_page, subscriptions
from notifications.runtime import configure
from notifications.service import mark_read, notify, put_wechat_template, record_subscriptions
from notifications.settings import NotificationSettings
from notifications.templates import TEMPLATES, Value
from notifications.views import ChannelView, MessagePage, MessageView, SubscriptionView

__all__ = [
    "TEMPLATES",
    "Addresses",
    "ChannelView",
    "Directory",
    "MessagePage",
    "MessageView",
    "NotificationSettings",
    "SubscriptionView",
    "Value",
    "configure",
    "inbox_page",
    "mark_read",
    "notify",
    "put_wechat_template",
    "record_subscriptions",
    "subscriptions",
]
