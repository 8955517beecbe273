"""Rows of the delivery slice: quotes, parcels, their events, hand-overs, receipts, reviews, counted tries. Private.

Name, phone and address of the receiver are sealed per field with a mask beside them; a carrier's free text is sealed
too, because "签收人：…" names people.
"""

from datetime import datetime

from tortoise import fields
from tortoise.indexes import Index

from kernel.db import Row, UtcDatetimeField


class QuoteRow(Row):
    """One price told to one person for one region, kept with the version of the table it came from."""

    quote_no = fields.CharField(max_length=26, unique=True)
    account_ref = fields.CharField(max_length=26, db_index=True)
    region_code = fields.CharField(max_length=12)
    carrier = fields.CharField(max_length=16)
    zone = fields.CharField(max_length=40)
    amount_fen = fields.BigIntField()
    source = fields.CharField(max_length=8)  # table | carrier
    table_version = fields.CharField(max_length=120)
    valid_until_at: datetime = UtcDatetimeField()
    case_no = fields.CharField(max_length=21, null=True)  # the case that used it

    class Meta:
        app = "delivery"
        table = "delivery_quote"


class Parcel(Row):
    """One thing to hand over (送达), by mail or at the window. Only `parcels` writes state, mark and sequence."""

    delivery_no = fields.CharField(max_length=26, unique=True)
    case_no = fields.CharField(max_length=21)
    owner_ref = fields.CharField(max_length=26, db_index=True)
    way = fields.CharField(max_length=8)  # mail | pickup
    kind = fields.CharField(max_length=16)  # DOCUMENT_OUT
    carrier = fields.CharField(max_length=16)
    quote_no = fields.CharField(max_length=26, null=True)
    zone = fields.CharField(max_length=40, null=True)
    table_version = fields.CharField(max_length=120, null=True)
    amount_fen = fields.BigIntField(default=0)
    bill_no = fields.CharField(max_length=32, null=True)
    region_code = fields.CharField(max_length=12, null=True)
    region_name = fields.CharField(max_length=120, null=True)  # province, city and county, as they were called then
    name_sealed = fields.TextField(null=True)
    name_mask = fields.CharField(max_length=120, null=True)
    phone_sealed = fields.TextField(null=True)
    phone_mask = fields.CharField(max_length=40, null=True)
    address_sealed = fields.TextField(null=True)
    address_mask = fields.CharField(max_length=200, null=True)
    state = fields.CharField(max_length=20)
    state_at: datetime = UtcDatetimeField()
    seq = fields.IntField(default=0)
    mark_stage = fields.SmallIntField(default=0)
    mark_at: datetime = UtcDatetimeField()
    mark_rank = fields.SmallIntField(default=0)
    attempts = fields.IntField(default=0)  # failed attempts, the higher of both counts below
    carrier_attempts = fields.IntField(default=0)
    courier_attempts = fields.IntField(default=0)
    granted_at: datetime | None = UtcDatetimeField(null=True)
    paid_at: datetime | None = UtcDatetimeField(null=True)
    # The intent to book: written before the carrier is called, so that a crash in between is found and asked about.
    order_at: datetime | None = UtcDatetimeField(null=True)
    order_round = fields.SmallIntField(default=0)
    # From the moment before the carrier is asked until its outcome is known: the order may exist there.
    order_sent_at: datetime | None = UtcDatetimeField(null=True)
    cancel_at: datetime | None = UtcDatetimeField(null=True)
    cancel_reason = fields.CharField(max_length=40, null=True)
    waybill_no = fields.CharField(max_length=40, null=True)
    courier_ref = fields.CharField(max_length=26, null=True)
    taken_at: datetime | None = UtcDatetimeField(null=True)
    news_at: datetime | None = UtcDatetimeField(null=True)
    poll_at: datetime | None = UtcDatetimeField(null=True)
    code_generation = fields.SmallIntField(default=0)
    code_hash = fields.CharField(max_length=64, null=True)
    code_tries = fields.SmallIntField(default=0)
    id_tries = fields.SmallIntField(default=0)

    class Meta:
        app = "delivery"
        table = "delivery_parcel"
        unique_together = (("case_no", "kind"), ("carrier", "waybill_no"))
        indexes = [
            Index(fields=("courier_ref", "id"), name="delivery_parcel_courier"),
            Index(fields=("poll_at", "id"), name="delivery_parcel_poll"),
            Index(fields=("bill_no",), name="delivery_parcel_bill"),
            Index(fields=("waybill_no",), name="delivery_parcel_waybill"),
        ]


class ParcelEvent(Row):
    """One thing that happened to a parcel, moved or not. `dedupe` drops the second copy of a carrier's line."""

    parcel: fields.ForeignKeyRelation[Parcel] = fields.ForeignKeyField("delivery.Parcel", related_name="events")
    parcel_id: int
    seq = fields.IntField()
    dedupe = fields.CharField(max_length=64, unique=True)
    by = fields.CharField(max_length=12)
    actor_ref = fields.CharField(max_length=64, null=True)
    carrier = fields.CharField(max_length=16)
    code = fields.CharField(max_length=40)
    canonical = fields.CharField(max_length=20)
    at: datetime = UtcDatetimeField()
    place = fields.CharField(max_length=100)
    text_sealed = fields.TextField(null=True)
    from_state = fields.CharField(max_length=20)
    to_state = fields.CharField(max_length=20)

    class Meta:
        app = "delivery"
        table = "delivery_parcel_event"
        unique_together = (("parcel", "seq"),)


class Handover(Row):
    """What was recorded at the door: a hand-over, a failed attempt, a refusal. Evidence = id and SHA-256."""

    parcel: fields.ForeignKeyRelation[Parcel] = fields.ForeignKeyField("delivery.Parcel", related_name="handovers")
    parcel_id: int
    number = fields.IntField()
    actor_ref = fields.CharField(max_length=64)
    method = fields.CharField(max_length=16)
    reason = fields.CharField(max_length=20, null=True)
    evidence = fields.JSONField[list[dict[str, str]]](default=list)
    at: datetime = UtcDatetimeField()

    class Meta:
        app = "delivery"
        table = "delivery_handover"
        unique_together = (("parcel", "number"),)


class Receipt(Row):
    """The signed proof of one hand-over (送达回执). Never changed. A correction only writes `revoked_at`."""

    receipt_no = fields.CharField(max_length=26, unique=True)
    parcel: fields.ForeignKeyRelation[Parcel] = fields.ForeignKeyField("delivery.Parcel", related_name="receipts")
    parcel_id: int
    number = fields.IntField()
    body = fields.TextField()  # the signed text itself: canonical JSON without personal data
    signature = fields.CharField(max_length=64)
    at: datetime = UtcDatetimeField()
    revoked_at: datetime | None = UtcDatetimeField(null=True)

    class Meta:
        app = "delivery"
        table = "delivery_receipt"
        unique_together = (("parcel", "number"),)


class Review(Row):
    """Something a person has to look at before it counts or to correct it."""

    review_no = fields.CharField(max_length=26, unique=True)
    parcel: fields.ForeignKeyRelation[Parcel] = fields.ForeignKeyField("delivery.Parcel", related_name="reviews")
    parcel_id: int
    kind = fields.CharField(max_length=24)
    # kind + parcel while it is open, otherwise NULL: at most one open review of a kind, on both engines.
    open_slot = fields.CharField(max_length=60, null=True, unique=True)
    detail = fields.CharField(max_length=200)
    outcome = fields.CharField(max_length=10, null=True)
    clerk = fields.CharField(max_length=64, null=True)
    note = fields.CharField(max_length=200, null=True)
    resolved_at: datetime | None = UtcDatetimeField(null=True)

    class Meta:
        app = "delivery"
        table = "delivery_review"
        indexes = [Index(fields=("parcel_id",), name="delivery_review_parcel")]


class WrongCodes(Row):
    """How often one courier was wrong in one hour or on one day."""

    courier_ref = fields.CharField(max_length=26)
    slot = fields.CharField(max_length=16)
    tries = fields.IntField(default=0)

    class Meta:
        app = "delivery"
        table = "delivery_wrong_codes"
        unique_together = (("courier_ref", "slot"),)
