"""Rows of the cases slice: cases, their events, corrections, suspensions, results, materials and uploads.

Private to this slice.

Personal data are sealed per field; what a list shows is a mask computed at write time, so that no list needs a key.
"""

from datetime import datetime

from tortoise import fields

from kernel.db import Row, UtcDatetimeField


class Case(Row):
    """One application (办件). Only `steps` writes the state and the sequence of a case that exists."""

    case_no = fields.CharField(max_length=21, unique=True)
    account_ref = fields.CharField(max_length=26)
    item_code = fields.CharField(max_length=64)
    item_version_id = fields.BigIntField()
    item_name = fields.CharField(max_length=200)
    region_code = fields.CharField(max_length=12)
    department_name = fields.CharField(max_length=200)
    project_type = fields.CharField(max_length=16)
    state = fields.CharField(max_length=16)
    seq = fields.IntField(default=0)
    data_version = fields.IntField(default=0)
    # The data version that was last announced as ready to be forwarded, so that each is announced once.
    ready_version = fields.IntField(default=0)
    submitted_at = UtcDatetimeField(null=True)
    received_at = UtcDatetimeField(null=True)
    accepted_at = UtcDatetimeField(null=True)
    started_at = UtcDatetimeField(null=True)
    ended_at = UtcDatetimeField(null=True)
    archived_at = UtcDatetimeField(null=True)
    # The date promised by the office (承诺办结日期), as a calendar day in Asia/Shanghai.
    promise_on = fields.DateField(null=True)
    changed_at = UtcDatetimeField()
    # What the applicant has typed so far; empty once the case is submitted.
    draft_sealed: str | None = fields.TextField(null=True)
    form_sealed = fields.TextField(null=True)
    applicant_sealed = fields.TextField(null=True)
    applicant_name_mask = fields.CharField(max_length=120, null=True)
    applicant_id_mask = fields.CharField(max_length=40, null=True)
    applicant_phone_mask = fields.CharField(max_length=40, null=True)
    delivery_way = fields.CharField(max_length=8, null=True)
    delivery_sealed = fields.TextField(null=True)
    delivery_name_mask = fields.CharField(max_length=120, null=True)
    delivery_phone_mask = fields.CharField(max_length=40, null=True)
    delivery_address_mask = fields.CharField(max_length=200, null=True)
    # 容缺: the material codes promised for later, and the day promised by the applicant.
    deferred_codes = fields.JSONField[list[str]](default=list)
    deferred_until_on = fields.DateField(null=True)
    query_password_hash = fields.CharField(max_length=64, null=True)
    query_failures = fields.IntField(default=0)
    query_locked_until: datetime | None = UtcDatetimeField(null=True)
    correction_count = fields.IntField(default=0)
    outcome = fields.CharField(max_length=12, null=True)
    outcome_code = fields.CharField(max_length=8, null=True)
    outcome_sealed = fields.TextField(null=True)
    # Whether the office says that a paper result is to be handed over or sent.
    deliver = fields.BooleanField(default=False)
    # Contradictory facts (a decision after a withdrawal, two decisions) are kept and shown to supervision, never
    # guessed away.
    flagged = fields.CharField(max_length=40, null=True)

    class Meta:
        app = "cases"
        table = "cases_case"
        indexes = (("account_ref", "id"),)


class Event(Row):
    """One thing that happened to a case. The sequence has no gaps and no doubles: the unique index is the proof."""

    case: fields.ForeignKeyRelation[Case] = fields.ForeignKeyField(
        "cases.Case", related_name="events", on_delete=fields.RESTRICT
    )
    seq = fields.IntField()
    kind = fields.CharField(max_length=32)
    from_state = fields.CharField(max_length=16, null=True)
    to_state = fields.CharField(max_length=16)
    by = fields.CharField(max_length=12)
    at = UtcDatetimeField()
    # The sender's own key of a fact: a second copy finds it and changes nothing.
    source_ref = fields.CharField(max_length=80, null=True)
    # "late" facts are kept for the record but moved nothing. "implied" steps were passed through because a later fact
    # proves them.
    note = fields.CharField(max_length=12, null=True)
    facts = fields.JSONField[dict[str, str]](default=dict)
    # Free text from a person or an office may name people, so it is sealed.
    text_sealed = fields.TextField(null=True)

    case_id: int

    class Meta:
        app = "cases"
        table = "cases_event"
        unique_together = (("case", "seq"), ("case", "source_ref"))


class Correction(Row):
    """One request to correct (补正): the whole list, once, never changed afterwards.

    Only its state and the answer are written later.
    """

    case: fields.ForeignKeyRelation[Case] = fields.ForeignKeyField(
        "cases.Case", related_name="corrections", on_delete=fields.RESTRICT
    )
    number = fields.IntField()
    source_ref = fields.CharField(max_length=80, null=True)
    state = fields.CharField(max_length=10)
    asked_at = UtcDatetimeField()
    deadline_at = UtcDatetimeField(db_index=True)
    # The law lets an office ask once (一次性告知): every further request is kept as a fact and shown to supervision.
    repeated = fields.BooleanField(default=False)
    sender = fields.CharField(max_length=200, default="")
    list_sealed = fields.TextField()
    data_version = fields.IntField()
    answered_at = UtcDatetimeField(null=True)
    answered_version = fields.IntField(null=True)

    case_id: int

    class Meta:
        app = "cases"
        table = "cases_correction"
        unique_together = (("case", "number"), ("case", "source_ref"))


class Suspension(Row):
    """One pause by the office (特别程序 or 挂起), open until its end is told. The end may arrive before the start."""

    case: fields.ForeignKeyRelation[Case] = fields.ForeignKeyField(
        "cases.Case", related_name="suspensions", on_delete=fields.RESTRICT
    )
    ref = fields.CharField(max_length=80)
    kind = fields.CharField(max_length=12, default="")
    name = fields.CharField(max_length=200, default="")
    started_at = UtcDatetimeField(null=True)
    until_on = fields.DateField(null=True)
    ended_at = UtcDatetimeField(null=True)

    case_id: int

    class Meta:
        app = "cases"
        table = "cases_suspension"
        unique_together = (("case", "ref"),)


class Certificate(Row):
    """A licence or certificate named in the decision. Its number is sealed, lists show the last four characters."""

    case: fields.ForeignKeyRelation[Case] = fields.ForeignKeyField(
        "cases.Case", related_name="certificates", on_delete=fields.RESTRICT
    )
    position = fields.IntField()
    name = fields.CharField(max_length=256)
    number_sealed = fields.TextField()
    number_mask = fields.CharField(max_length=40)
    issuer = fields.CharField(max_length=200, default="")
    valid_to = fields.CharField(max_length=30, default="")

    case_id: int

    class Meta:
        app = "cases"
        table = "cases_certificate"
        unique_together = (("case", "position"),)


class ResultFile(Row):
    """A result document sent by the office, already stored. The seal information is kept as it came."""

    case: fields.ForeignKeyRelation[Case] = fields.ForeignKeyField(
        "cases.Case", related_name="result_files", on_delete=fields.RESTRICT
    )
    ref = fields.CharField(max_length=26, unique=True)
    source_ref = fields.CharField(max_length=80)
    name = fields.CharField(max_length=200)
    mime = fields.CharField(max_length=80)
    bytes = fields.BigIntField()
    sha256 = fields.CharField(max_length=64)
    storage_key = fields.CharField(max_length=120)
    seal_info = fields.TextField(null=True)

    case_id: int

    class Meta:
        app = "cases"
        table = "cases_result_file"
        unique_together = (("case", "source_ref"),)


class Material(Row):
    """One file a person handed in. What is kept is the re-encoded picture. `sha256` is of the bytes that were sent."""

    ref = fields.CharField(max_length=26, unique=True)
    account_ref = fields.CharField(max_length=26)
    state = fields.CharField(max_length=10)
    refusal = fields.CharField(max_length=40, null=True)
    sha256 = fields.CharField(max_length=64)
    bytes = fields.BigIntField()
    mime = fields.CharField(max_length=40)
    width = fields.IntField(null=True)
    height = fields.IntField(null=True)
    stored_sha256 = fields.CharField(max_length=64, null=True)
    stored_bytes = fields.BigIntField(null=True)
    storage_key = fields.CharField(max_length=120, null=True)
    thumbnail_key = fields.CharField(max_length=120, null=True)
    # When it was last sent or recognised again; what no case uses is removed a day after that.
    seen_at = UtcDatetimeField(db_index=True)

    class Meta:
        app = "cases"
        table = "cases_material"
        indexes = (("account_ref", "sha256"), ("account_ref", "created_at"))


class Attachment(Row):
    """A material used for one requirement of a case, from one data version on, until a later answer replaced it."""

    case: fields.ForeignKeyRelation[Case] = fields.ForeignKeyField(
        "cases.Case", related_name="attachments", db_index=True, on_delete=fields.RESTRICT
    )
    material: fields.ForeignKeyRelation[Material] = fields.ForeignKeyField(
        "cases.Material", related_name="attachments", db_index=True, on_delete=fields.RESTRICT
    )
    code = fields.CharField(max_length=64)
    position = fields.IntField()
    since_version = fields.IntField()
    until_version = fields.IntField(null=True)

    case_id: int
    material_id: int

    class Meta:
        app = "cases"
        table = "cases_attachment"


class Upload(Row):
    """A file that arrives in parts over a bad line.

    `confirmed` is what we have for certain. the phone goes on from there.
    """

    ref = fields.CharField(max_length=26, unique=True)
    account_ref = fields.CharField(max_length=26, db_index=True)
    length = fields.BigIntField()
    sha256 = fields.CharField(max_length=64)
    confirmed = fields.BigIntField(default=0)
    material_ref = fields.CharField(max_length=26, null=True)

    class Meta:
        app = "cases"
        table = "cases_upload"
        indexes = (("created_at",),)


class UploadPart(Row):
    """One stored part. The key is new for every attempt, so that two writers at one offset cannot mix their bytes."""

    upload: fields.ForeignKeyRelation[Upload] = fields.ForeignKeyField("cases.Upload", related_name="parts")
    position = fields.BigIntField()
    bytes = fields.IntField()
    storage_key = fields.CharField(max_length=120)

    upload_id: int

    class Meta:
        app = "cases"
        table = "cases_upload_part"
        unique_together = (("upload", "position"),)
