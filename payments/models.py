"""Rows of the payment slice: price list, bills, attempts, evidence, ledger, refunds, differences. No behaviour."""

from datetime import date, datetime

from tortoise import fields
from tortoise.indexes import Index

from kernel.db import Row, UtcDatetimeField


class FeeItem(Row):
    """One version of one price: what a unit may charge, from when, and by which approval."""

    unit_code = fields.CharField(max_length=18)
    code = fields.CharField(max_length=40)  # 执收项目编码
    kind = fields.CharField(max_length=20)
    name = fields.CharField(max_length=100)
    unit_name = fields.CharField(max_length=20)  # 计费单位，如“证”“件”
    price_fen = fields.BigIntField()
    optional = fields.BooleanField(default=False)
    max_quantity = fields.IntField(default=1)
    approval_price = fields.CharField(max_length=100, null=True)  # 财政、价格主管部门的批准文号
    approval_education = fields.CharField(max_length=100, null=True)  # 教育主管部门的批准文号，学校收费才有
    valid_from_on: date = fields.DateField()
    valid_to_on: date | None = fields.DateField(null=True)
    state = fields.CharField(max_length=12)  # proposed | published
    proposed_by = fields.CharField(max_length=64)
    approved_by = fields.CharField(max_length=64, null=True)
    approved_at: datetime | None = UtcDatetimeField(null=True)

    class Meta:
        table = "payments_fee_item"
        unique_together = (("unit_code", "code", "valid_from_on"),)


class Bill(Row):
    """What one payer owes one unit. `state` is derived from the ledger and stored for reading only."""

    bill_no = fields.CharField(max_length=32, unique=True)
    dedupe_key = fields.CharField(max_length=120, unique=True)
    unit_code = fields.CharField(max_length=18)
    kind = fields.CharField(max_length=20)
    subject = fields.CharField(max_length=80)
    owner_ref = fields.CharField(max_length=64)
    title = fields.CharField(max_length=120)
    gross_fen = fields.BigIntField()
    waived_fen = fields.BigIntField(default=0)
    due_fen = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    allow_partial = fields.BooleanField(default=False)
    late_policy = fields.CharField(max_length=8)  # refund | accept
    state = fields.CharField(max_length=16)
    version = fields.IntField(default=1)
    event_seq = fields.IntField(default=0)
    expires_at: datetime = UtcDatetimeField()
    published_at: datetime | None = UtcDatetimeField(null=True)
    expired_at: datetime | None = UtcDatetimeField(null=True)
    # Set when the matter was given up. From then on the bill takes no money, even while an order is still being closed.
    void_reason = fields.CharField(max_length=40, null=True)
    withdrawn_at: datetime | None = UtcDatetimeField(null=True)

    class Meta:
        table = "payments_bill"
        indexes = [
            Index(fields=("subject",), name="payments_bill_subject"),
            Index(fields=("owner_ref", "id"), name="payments_bill_owner"),
            Index(fields=("state", "expires_at", "id"), name="payments_bill_expiry"),
        ]


class BillLine(Row):
    """One line of a bill with the price as it was when the bill was issued."""

    bill: fields.ForeignKeyRelation[Bill] = fields.ForeignKeyField(
        "payments.Bill", related_name="lines", on_delete=fields.RESTRICT
    )
    fee_code = fields.CharField(max_length=40)
    fee_item_id = fields.BigIntField(null=True)
    name = fields.CharField(max_length=100)
    quantity = fields.IntField()
    price_fen = fields.BigIntField()
    amount_fen = fields.BigIntField()

    class Meta:
        table = "payments_bill_line"
        indexes = [Index(fields=("bill_id",), name="payments_bill_line_bill")]


class Attempt(Row):
    """One try to pay one bill through one channel. `payment_no` is the number the channel knows it by."""

    bill: fields.ForeignKeyRelation[Bill] = fields.ForeignKeyField(
        "payments.Bill", related_name="attempts", on_delete=fields.RESTRICT
    )
    bill_id: int
    payment_no = fields.CharField(max_length=32, unique=True)
    channel = fields.CharField(max_length=16)
    product = fields.CharField(max_length=16)
    amount_fen = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    payer_ref = fields.CharField(max_length=64)
    payer_index = fields.CharField(max_length=64, null=True)  # blind index of the channel's payer id, to compare only
    state = fields.CharField(max_length=16)
    # bill, channel and payer while the attempt is active, otherwise NULL: at most one active attempt each, on both engines.
    active_slot = fields.CharField(max_length=120, null=True, unique=True)
    request_body = fields.TextField()  # sealed; resent byte for byte
    client_action = fields.TextField(null=True)  # JSON for the phone
    client_action_at: datetime | None = UtcDatetimeField(null=True)
    channel_txn_id = fields.CharField(max_length=64, null=True)
    paid_at: datetime | None = UtcDatetimeField(null=True)
    expires_at: datetime = UtcDatetimeField()
    sent_at: datetime | None = UtcDatetimeField(null=True)
    sends = fields.IntField(default=0)
    ladder_from_at: datetime = UtcDatetimeField()
    next_check_at: datetime | None = UtcDatetimeField(null=True)
    asked_at: datetime | None = UtcDatetimeField(null=True)
    checks = fields.IntField(default=0)
    last_error = fields.CharField(max_length=120, null=True)
    close_wanted = fields.CharField(max_length=40, null=True)
    review_required = fields.BooleanField(default=False)
    event_seq = fields.IntField(default=0)

    class Meta:
        table = "payments_attempt"
        unique_together = (("channel", "channel_txn_id"),)
        indexes = [
            Index(fields=("bill_id", "id"), name="payments_attempt_bill"),
            Index(fields=("next_check_at", "id"), name="payments_attempt_check"),
            # A day's payments for the reconciliation, however many days there are.
            Index(fields=("channel", "paid_at", "id"), name="payments_attempt_paid"),
        ]


class EvidenceRow(Row):
    """One verified statement from outside about an attempt or one of its refunds, and what it changed. Insert only."""

    attempt: fields.ForeignKeyNullableRelation[Attempt] = fields.ForeignKeyField(
        "payments.Attempt", related_name="evidence", null=True, on_delete=fields.RESTRICT
    )
    channel = fields.CharField(max_length=16)
    kind = fields.CharField(max_length=12)
    source_id = fields.CharField(max_length=80)
    payment_no = fields.CharField(max_length=64)
    refund_no = fields.CharField(max_length=64, null=True)
    channel_txn_id = fields.CharField(max_length=64, null=True)
    outcome = fields.CharField(max_length=16)
    amount_fen = fields.BigIntField(null=True)
    currency = fields.CharField(max_length=8, null=True)
    occurred_at: datetime | None = UtcDatetimeField(null=True)
    observed_at: datetime = UtcDatetimeField()
    raw_ref = fields.CharField(max_length=80)
    effect = fields.CharField(max_length=40)

    class Meta:
        table = "payments_evidence"
        unique_together = (("channel", "kind", "source_id"),)
        indexes = [Index(fields=("attempt_id",), name="payments_evidence_attempt")]


class LedgerAccount(Row):
    """One account. Only bounded accounts keep a balance: hot ones would serialise every settlement on one row."""

    code = fields.CharField(max_length=80, unique=True)
    kind = fields.CharField(max_length=12)  # asset | liability | income | expense
    unit_code = fields.CharField(max_length=18, null=True)
    currency = fields.CharField(max_length=3)
    bounded = fields.BooleanField()
    balance_fen = fields.BigIntField(default=0)  # on the account's natural side, never negative

    class Meta:
        table = "payments_ledger_account"


class LedgerTxn(Row):
    """One balanced posting. The dedupe key makes it happen once. Insert only."""

    kind = fields.CharField(max_length=24)
    dedupe_key = fields.CharField(max_length=120, unique=True)
    bill_no = fields.CharField(max_length=32, null=True)
    payment_no = fields.CharField(max_length=64, null=True)
    refund_no = fields.CharField(max_length=64, null=True)
    occurred_at: datetime = UtcDatetimeField()

    class Meta:
        table = "payments_ledger_txn"
        indexes = [
            Index(fields=("bill_no",), name="payments_ledger_txn_bill"),
            Index(fields=("payment_no",), name="payments_ledger_txn_payment"),
            Index(fields=("refund_no",), name="payments_ledger_txn_refund"),
        ]


class LedgerEntry(Row):
    """One side of a posting: debit positive, credit negative. Insert only."""

    txn: fields.ForeignKeyRelation[LedgerTxn] = fields.ForeignKeyField(
        "payments.LedgerTxn", related_name="entries", on_delete=fields.RESTRICT
    )
    account: fields.ForeignKeyRelation[LedgerAccount] = fields.ForeignKeyField(
        "payments.LedgerAccount", related_name="entries", on_delete=fields.RESTRICT
    )
    amount_fen = fields.BigIntField()

    class Meta:
        table = "payments_ledger_entry"
        indexes = [
            Index(fields=("txn_id",), name="payments_ledger_entry_txn"),
            Index(fields=("account_id",), name="payments_ledger_entry_account"),
        ]


class Refund(Row):
    """One return of money from one attempt. `refund_no` is the number the channel knows it by, and a failed one is followed by a new row."""

    refund_no = fields.CharField(max_length=64, unique=True)
    dedupe_key = fields.CharField(max_length=120, null=True, unique=True)  # of automatic ones: attempt and cause
    bill: fields.ForeignKeyRelation[Bill] = fields.ForeignKeyField(
        "payments.Bill", related_name="refunds", on_delete=fields.RESTRICT
    )
    bill_id: int
    attempt: fields.ForeignKeyRelation[Attempt] = fields.ForeignKeyField(
        "payments.Attempt", related_name="refunds", on_delete=fields.RESTRICT
    )
    attempt_id: int
    follows: fields.ForeignKeyNullableRelation["Refund"] = fields.ForeignKeyField(
        "payments.Refund", related_name="followers", null=True, on_delete=fields.RESTRICT
    )
    follows_id: int | None
    channel = fields.CharField(max_length=16)
    amount_fen = fields.BigIntField()
    currency = fields.CharField(max_length=3)
    cause = fields.CharField(max_length=16)
    source = fields.CharField(max_length=8)  # surplus | income: which account pays it back
    way = fields.CharField(max_length=8, default="channel")  # channel | offline | adopted (made on the merchant site)
    automatic = fields.BooleanField(default=False)  # owed by rule: nobody decides about it
    rule_ref = fields.CharField(max_length=120, null=True)
    reason = fields.TextField(null=True)  # sealed: a person's own words
    state = fields.CharField(max_length=16)
    requested_by = fields.CharField(max_length=64)
    decided_by = fields.CharField(max_length=64, null=True)
    document = fields.CharField(max_length=200, null=True)  # what an offline payment or a decision stands on
    request_body = fields.TextField(null=True)  # sealed, resent byte for byte
    channel_refund_id = fields.CharField(max_length=64, null=True)
    reopened = fields.BooleanField(default=False)  # the amount is due again: a part payment went back
    sent_at: datetime | None = UtcDatetimeField(null=True)
    sends = fields.IntField(default=0)
    ladder_from_at: datetime | None = UtcDatetimeField(null=True)
    next_check_at: datetime | None = UtcDatetimeField(null=True)
    checks = fields.IntField(default=0)
    last_error = fields.CharField(max_length=120, null=True)
    review_required = fields.BooleanField(default=False)
    finished_at: datetime | None = UtcDatetimeField(null=True)
    event_seq = fields.IntField(default=0)

    class Meta:
        table = "payments_refund"
        indexes = [
            Index(fields=("bill_id", "id"), name="payments_refund_bill"),
            Index(fields=("attempt_id", "id"), name="payments_refund_attempt"),
            Index(fields=("follows_id",), name="payments_refund_follows"),
            Index(fields=("next_check_at", "id"), name="payments_refund_check"),
            Index(fields=("state", "id"), name="payments_refund_state"),
            # A day's refunds for the reconciliation.
            Index(fields=("channel", "sent_at", "id"), name="payments_refund_sent"),
        ]


class PaymentEvent(Row):
    """One state change of one bill, attempt or refund. Insert only, numbered without gaps."""

    object_kind = fields.CharField(max_length=8)  # bill | attempt | refund
    object_no = fields.CharField(max_length=32)
    seq = fields.IntField()
    action = fields.CharField(max_length=20)
    source = fields.CharField(max_length=16)
    target = fields.CharField(max_length=16)
    by = fields.CharField(max_length=16)
    note = fields.CharField(max_length=120, null=True)
    evidence_id = fields.BigIntField(null=True)

    class Meta:
        table = "payments_event"
        unique_together = (("object_no", "seq"),)


class Difference(Row):
    """Something settlement (later: reconciliation) found and a person or a job must finish. Security findings are rows too."""

    class_name = fields.CharField(max_length=32)
    key = fields.CharField(max_length=120)
    channel = fields.CharField(max_length=16)
    payment_no = fields.CharField(max_length=64, null=True)
    bill_no = fields.CharField(max_length=32, null=True)
    ours_fen = fields.BigIntField(null=True)
    theirs_fen = fields.BigIntField(null=True)
    detail = fields.CharField(max_length=200)
    state = fields.CharField(max_length=12)  # payments.reconciliation.states.DifferenceState
    day_on: date | None = fields.DateField(null=True)  # the business day whose report it belongs to, in Beijing
    owner = fields.CharField(max_length=64, null=True)  # who looks at it; NULL: whoever the class names
    acted_at: datetime | None = UtcDatetimeField(null=True)  # when the first automatic action came to a conclusion
    resolution = fields.CharField(max_length=200, null=True)
    resolved_by = fields.CharField(max_length=64, null=True)
    resolved_at: datetime | None = UtcDatetimeField(null=True)
    approved_by = fields.CharField(max_length=64, null=True)  # the second person, where money moves

    class Meta:
        table = "payments_difference"
        unique_together = (("class_name", "key"),)
        indexes = [Index(fields=("channel", "day_on", "id"), name="payments_difference_day")]


class PlatformCertificate(Row):
    """A channel's certificate that verifies its messages, shared by all processes and fetched by a job, never by a request."""

    channel = fields.CharField(max_length=16)
    serial = fields.CharField(max_length=80)
    pem = fields.TextField()
    effective_at: datetime = UtcDatetimeField()
    expires_at: datetime = UtcDatetimeField()

    class Meta:
        table = "payments_platform_certificate"
        unique_together = (("channel", "serial"),)
