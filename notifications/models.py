"""Rows of notifications: messages, their way on each channel, and what people have allowed WeChat to send. Private to this package."""

from tortoise import fields

from kernel.db import Row, UtcDatetimeField


class Message(Row):
    """One message to one person. Being here is its delivery in the app. Text and values are sealed, for they may hold what a clerk wrote."""

    message_no = fields.CharField(max_length=26, unique=True)
    key = fields.CharField(max_length=160, unique=True)
    recipient_ref = fields.CharField(max_length=64)
    template = fields.CharField(max_length=32)
    title = fields.CharField(max_length=60)
    body_sealed = fields.TextField()
    page = fields.CharField(max_length=200)
    link_ref = fields.CharField(max_length=64)
    unread = fields.BooleanField(default=True)

    class Meta:
        app = "notifications"
        table = "notifications_message"
        indexes = (("recipient_ref", "id"), ("recipient_ref", "unread"))


class Delivery(Row):
    """A message on one channel. `holds_quota` says whether it has a reservation. The address is kept as an index only."""

    message: fields.ForeignKeyRelation[Message] = fields.ForeignKeyField(
        "notifications.Message", related_name="deliveries", on_delete=fields.OnDelete.RESTRICT
    )
    channel = fields.CharField(max_length=24)
    state = fields.CharField(max_length=16)
    code = fields.IntField(null=True)
    note = fields.CharField(max_length=120, null=True)
    address_index = fields.CharField(max_length=64, null=True)
    template_id = fields.CharField(max_length=64, null=True)
    holds_quota = fields.BooleanField(default=False)
    changed_at = UtcDatetimeField()

    class Meta:
        app = "notifications"
        table = "notifications_delivery"
        unique_together = (("message", "channel"),)
        indexes = (("address_index", "template_id"), ("state", "changed_at"))


class Quota(Row):
    """What one address has granted for one WeChat template, and how much of it is spoken for."""

    address_index = fields.CharField(max_length=64)
    template_id = fields.CharField(max_length=64)
    granted = fields.IntField(default=0)
    reserved = fields.IntField(default=0)
    consumed = fields.IntField(default=0)
    blocked = fields.BooleanField(default=False)
    accepted = fields.BooleanField(default=False)
    last_event_at = UtcDatetimeField()

    class Meta:
        app = "notifications"
        table = "notifications_quota"
        unique_together = (("address_index", "template_id"),)


class Tap(Row):
    """One answer of a person to the subscribe dialog, so that a copy of the report grants nothing twice."""

    address_index = fields.CharField(max_length=64)
    template_id = fields.CharField(max_length=64)
    tapped_at_s = fields.BigIntField()

    class Meta:
        app = "notifications"
        table = "notifications_tap"
        unique_together = (("address_index", "template_id", "tapped_at_s"),)


class WechatTemplate(Row):
    """Which template of the mini-program's console carries one of ours: its id, its term, and our field → its key."""

    name = fields.CharField(max_length=32, unique=True)
    template_id = fields.CharField(max_length=64, unique=True)
    term = fields.CharField(max_length=12)
    mapping = fields.JSONField[dict[str, str]]()

    class Meta:
        app = "notifications"
        table = "notifications_template"
