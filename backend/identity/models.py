"""Rows of the identity slice: accounts, field workers, sessions, used refresh tokens, register checks, counted tries.
Private to this slice.
"""

from datetime import date

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint

from kernel.db import Row, UtcDatetimeField


class Account(Row):
    """A citizen's account. Personal data are sealed per field, with a mask for lists and a blind index where
    equality is searched.
    """

    ref = fields.CharField(max_length=26, unique=True)
    openid_index = fields.CharField(max_length=64, null=True, unique=True)
    openid_sealed = fields.TextField(null=True)
    phone_index = fields.CharField(max_length=64, null=True, db_index=True)
    phone_sealed = fields.TextField(null=True)
    phone_mask = fields.CharField(max_length=40, null=True)
    phone_country_code = fields.CharField(max_length=8, null=True)
    phone_verified_at = UtcDatetimeField(null=True)
    name_sealed = fields.TextField(null=True)
    name_mask = fields.CharField(max_length=120, null=True)
    id_type = fields.CharField(max_length=32, null=True)
    id_index = fields.CharField(max_length=64, null=True, db_index=True)
    id_sealed = fields.TextField(null=True)
    id_mask = fields.CharField(max_length=40, null=True)
    identity_verified_at = UtcDatetimeField(null=True)
    assurance_level = fields.SmallIntField(default=0)

    class Meta:
        table = "identity_account"


class FieldWorker(Row):
    """A courier or an agent, who logs in with a name and a password given by an operator."""

    ref = fields.CharField(max_length=26, unique=True)
    login_name = fields.CharField(max_length=40, unique=True)
    password_hash = fields.TextField()
    role = fields.CharField(max_length=16)
    areas = fields.JSONField[list[str]](default=list)
    name_sealed = fields.TextField()
    name_mask = fields.CharField(max_length=120)
    phone_sealed = fields.TextField(null=True)
    phone_mask = fields.CharField(max_length=40, null=True)
    disabled_at = UtcDatetimeField(null=True)
    # A courier's
    carrier = fields.CharField(max_length=16, null=True)
    # An agent's
    kind = fields.CharField(max_length=16, null=True)
    organisation = fields.CharField(max_length=120, null=True)
    skills = fields.JSONField[list[str] | None](null=True)
    serving_since_on: date | None = fields.DateField(null=True)

    class Meta:
        table = "identity_field_worker"
        constraints = (
            CheckConstraint(
                name="identity_field_worker_role",
                check="(role = 'courier' AND carrier IS NOT NULL AND kind IS NULL AND organisation IS NULL "
                "AND skills IS NULL AND serving_since_on IS NULL) OR (role = 'agent' AND carrier IS NULL "
                "AND kind IS NOT NULL AND kind IN ('proxy', 'grid') AND organisation IS NOT NULL "
                "AND skills IS NOT NULL AND serving_since_on IS NOT NULL)",
            ),
        )


class Session(Row):
    """One login on one device: the family of all tokens that descend from it. Only hashes of tokens are stored."""

    account: fields.ForeignKeyNullableRelation[Account] = fields.ForeignKeyField(
        "identity.Account", related_name="sessions", null=True, db_index=True
    )
    field_worker: fields.ForeignKeyNullableRelation[FieldWorker] = fields.ForeignKeyField(
        "identity.FieldWorker", related_name="sessions", null=True, db_index=True
    )
    role = fields.CharField(max_length=16)
    access_hash = fields.CharField(max_length=64, unique=True)
    refresh_hash = fields.CharField(max_length=64, unique=True)
    idle_until = UtcDatetimeField()
    absolute_until = UtcDatetimeField(db_index=True)
    last_used_at = UtcDatetimeField()
    revoked_at = UtcDatetimeField(null=True)
    revoked_reason = fields.CharField(max_length=32, null=True)
    device = fields.CharField(max_length=120, null=True)

    account_id: int | None
    field_worker_id: int | None

    class Meta:
        table = "identity_session"


class RefreshReplay(Row):
    """A refresh token that was used: to recognise a second use, and to repeat the answer for a minute when the
    network lost it.
    """

    session: fields.ForeignKeyRelation[Session] = fields.ForeignKeyField(
        "identity.Session", related_name="used_refreshes", db_index=True
    )
    refresh_hash = fields.CharField(max_length=64, unique=True)
    key_hash = fields.CharField(max_length=64, null=True)
    answer_sealed = fields.TextField(null=True)
    answer_until = UtcDatetimeField(db_index=True)

    session_id: int

    class Meta:
        table = "identity_refresh_replay"


class Verification(Row):
    """One question to the population register: written before the question is asked, completed with its answer."""

    ref = fields.CharField(max_length=26, unique=True)
    account: fields.ForeignKeyRelation[Account] = fields.ForeignKeyField(
        "identity.Account", related_name="verifications", db_index=True
    )
    id_index = fields.CharField(max_length=64, db_index=True)
    outcome = fields.CharField(max_length=24, default="asked")
    answered_at = UtcDatetimeField(null=True)

    account_id: int

    class Meta:
        table = "identity_verification"


class Attempt(Row):
    """Counted tries of one subject in one time window, in the database so that a restart or a second process
    forgets nothing.
    """

    scope = fields.CharField(max_length=32)
    subject = fields.CharField(max_length=64)
    window_started_at = UtcDatetimeField()
    tries = fields.IntField()

    class Meta:
        table = "identity_attempt"
        unique_together = (("scope", "subject"),)
