"""Rows of the daily reconciliation: runs, the lines worth keeping, signatures. Differences are `payments.models.Difference`."""

from datetime import date, datetime

from tortoise import fields
from tortoise.indexes import Index

from kernel.db import Row, UtcDatetimeField


class ReconRun(Row):
    """One daily file of one channel: how far it came and what it added up to. Amounts in fen."""

    channel = fields.CharField(max_length=16)
    day_on: date = fields.DateField()  # the day of the business, in Beijing
    kind = fields.CharField(max_length=8)  # trade | fund
    state = fields.CharField(max_length=16)
    reason = fields.CharField(max_length=120, null=True)  # why it waits or failed
    tries = fields.IntField(default=0)
    next_try_at: datetime | None = UtcDatetimeField(null=True)
    claim = fields.CharField(max_length=32, null=True)  # whose run it is while it is being worked
    claimed_until: datetime | None = UtcDatetimeField(null=True)
    sha256 = fields.CharField(max_length=64, null=True)  # of the content; NULL: no file
    proof = fields.CharField(max_length=8, null=True)
    file_key = fields.CharField(max_length=120, null=True)
    line_count = fields.IntField(default=0)
    matched_count = fields.IntField(default=0)
    other_day_count = fields.IntField(default=0)
    foreign_count = fields.IntField(default=0)  # lines of other applications of the same merchant
    difference_count = fields.IntField(default=0)
    ours_count = fields.IntField(default=0)
    paid_fen = fields.BigIntField(default=0)
    refunded_fen = fields.BigIntField(default=0)
    fees_fen = fields.BigIntField(default=0)
    ours_fen = fields.BigIntField(default=0)  # what our books say of the same day
    matched_at: datetime | None = UtcDatetimeField(null=True)

    class Meta:
        table = "payments_recon_run"
        unique_together = (("channel", "day_on", "kind"),)


class ReconLine(Row):
    """One line of a file that is not a plain match. Matching ones are counted only: the file itself is kept, and proves them."""

    run: fields.ForeignKeyRelation[ReconRun] = fields.ForeignKeyField(
        "payments.ReconRun", related_name="kept_lines", on_delete=fields.RESTRICT
    )
    line_no = fields.IntField()
    class_name = fields.CharField(max_length=32)
    number = fields.CharField(max_length=64, null=True)
    channel_txn_id = fields.CharField(max_length=64, null=True)
    amount_fen = fields.BigIntField()
    currency = fields.CharField(max_length=8)
    fees_fen = fields.BigIntField()
    happened_at: datetime = UtcDatetimeField()

    class Meta:
        table = "payments_recon_line"
        indexes = [
            Index(fields=("run_id", "line_no"), name="payments_recon_line_run"),
            Index(fields=("number",), name="payments_recon_line_number"),
        ]


class ReconSignature(Row):
    """One person's signature under one day's report, as it was then. Insert only. Two of the same digest close the day."""

    channel = fields.CharField(max_length=16)
    day_on: date = fields.DateField()
    signer = fields.CharField(max_length=64)
    digest = fields.CharField(max_length=64)

    class Meta:
        table = "payments_recon_signature"
        unique_together = (("channel", "day_on", "digest", "signer"),)
