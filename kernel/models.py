"""Tables of the floor: counters, outbox, inbox, idempotency answers, leases of partner tokens."""

from tortoise import fields
from tortoise.indexes import PartialIndex
from tortoise.models import Model

from kernel.db import Row, UtcDatetimeField


class Serial(Model):
    """A counter that never restarts."""

    scope = fields.CharField(max_length=64, primary_key=True)
    value = fields.BigIntField()

    class Meta:
        app = "kernel"
        table = "kernel_serial"


class OutboxRow(Model):
    """A promise to the outside, written in the transaction of the fact. `run_at` is the due time, or the lease's end while leased."""

    id = fields.BigIntField(primary_key=True)
    topic = fields.CharField(max_length=64)
    key = fields.CharField(max_length=160, unique=True)
    lane = fields.CharField(max_length=120, null=True)
    payload: fields.Field[dict] = fields.JSONField()  # type: ignore[type-arg]
    state = fields.SmallIntField(default=0, db_default=0)
    run_at = fields.BigIntField()
    attempts = fields.IntField(default=0, db_default=0)
    crashes = fields.IntField(default=0, db_default=0)
    lease = fields.CharField(max_length=32, null=True)
    error = fields.CharField(max_length=500, null=True)
    created_ms = fields.BigIntField()
    done_ms = fields.BigIntField(null=True)

    class Meta:
        app = "kernel"
        table = "kernel_outbox"
        indexes = [
            PartialIndex(fields=("run_at", "id"), condition={"state": 0}),
            PartialIndex(fields=("lane", "id"), condition={"state": 0}),
        ]


class InboxRow(Row):
    """A verified message from a partner, stored before it was acknowledged. The body is sealed."""

    partner = fields.CharField(max_length=32)
    external_id = fields.CharField(max_length=128)
    headers: fields.Field[dict] = fields.JSONField()  # type: ignore[type-arg]
    body = fields.TextField()
    handled_at = UtcDatetimeField(null=True)
    note = fields.CharField(max_length=200, null=True)

    class Meta:
        app = "kernel"
        table = "kernel_inbox"
        unique_together = (("partner", "external_id"),)


class IdempotencyRow(Model):
    """The sealed answer of a finished command, by actor and route and the client's key, kept for at least a day."""

    id = fields.BigIntField(primary_key=True)
    scope = fields.CharField(max_length=120)
    key = fields.CharField(max_length=64)  # SHA-256 of the client's key: a client may put anything into it
    request_hash = fields.CharField(max_length=64)
    answer = fields.TextField(null=True)
    created_ms = fields.BigIntField(db_index=True)

    class Meta:
        app = "kernel"
        table = "kernel_idempotency"
        unique_together = (("scope", "key"),)


class PartnerToken(Model):
    """One partner's access token for all processes, with the lease of whoever is fetching the next one."""

    name = fields.CharField(max_length=64, primary_key=True)
    token = fields.TextField(null=True)
    expires_ms = fields.BigIntField(default=0, db_default=0)
    lease = fields.CharField(max_length=32, null=True)
    lease_until_ms = fields.BigIntField(default=0, db_default=0)

    class Meta:
        app = "kernel"
        table = "kernel_partner_token"


class Nonce(Model):
    """A nonce a partner has used, remembered for its window so that a message cannot be replayed."""

    id = fields.BigIntField(primary_key=True)
    partner = fields.CharField(max_length=32)
    nonce = fields.CharField(max_length=128)
    seen_ms = fields.BigIntField(db_index=True)

    class Meta:
        app = "kernel"
        table = "kernel_nonce"
        unique_together = (("partner", "nonce"),)
