"""Rows of the non-tax channel: the 缴款码 of a bill, and the e-receipt of a payment. No behaviour."""

from tortoise import fields
from tortoise.indexes import Index

from kernel.db import Row
from payments.models import Attempt, Bill


class PayCode(Row):
    """The number under which a finance platform knows one bill and one amount. Text: leading zeros stay, nothing is computed."""

    bill: fields.ForeignKeyRelation[Bill] = fields.ForeignKeyField(
        "payments.Bill", related_name="pay_codes", on_delete=fields.RESTRICT
    )
    bill_id: int
    channel = fields.CharField(max_length=16)
    pay_code = fields.CharField(max_length=32)
    amount_fen = fields.BigIntField()
    registered = fields.BooleanField(default=False)  # the platform has the bill, where registering is a call of its own

    class Meta:
        table = "payments_pay_code"
        unique_together = (("channel", "pay_code"), ("channel", "bill_id", "amount_fen"))
        indexes = [Index(fields=("bill_id",), name="payments_pay_code_bill")]


class Receipt(Row):
    """One e-receipt (财政电子票据) of what one attempt paid into its bill. After a part of it went back, a new row with the next `part`."""

    attempt: fields.ForeignKeyRelation[Attempt] = fields.ForeignKeyField(
        "payments.Attempt", related_name="receipts", on_delete=fields.RESTRICT
    )
    attempt_id: int
    part = fields.IntField()
    request_no = fields.CharField(max_length=32, unique=True)  # ours; every call repeats it
    channel = fields.CharField(max_length=16)
    unit_code = fields.CharField(max_length=18)
    amount_fen = fields.BigIntField()
    state = fields.CharField(max_length=24)
    code = fields.CharField(max_length=40, null=True)  # 票据代码
    number = fields.CharField(max_length=40, null=True)  # 票据号码
    check_code = fields.CharField(max_length=20, null=True)  # 校验码
    url = fields.CharField(max_length=500, null=True)
    red_number = fields.CharField(max_length=40, null=True)  # of the reversal
    last_error = fields.CharField(max_length=120, null=True)
    event_seq = fields.IntField(default=0)

    class Meta:
        table = "payments_receipt"
        unique_together = (("attempt_id", "part"),)
