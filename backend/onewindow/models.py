"""Tables of the one-window slice: numbers, outgoing messages, attachments, every call, every event, the pull cursor."""

from tortoise import fields
from tortoise.models import Model

from kernel.db import Row, UtcDatetimeField


class Project(Row):
    """The platform's number of a case and how far both sides have come. Its lock orders the events of the case."""

    case_no = fields.CharField(max_length=21, unique=True)
    # Opaque text of the platform, never parsed (办件编号 of up to 50 characters are seen).
    project_no = fields.CharField(max_length=50, unique=True)
    applied_seq = fields.IntField(default=0)
    # The data version the platform has acknowledged. Ours may run ahead when a message was parked.
    wire_version = fields.IntField(default=0)
    wire_state = fields.CharField(max_length=16, default="")

    class Meta:
        app = "onewindow"
        table = "onewindow_project"


class Forwarding(Row):
    """One message to the platform. The body is sealed before the first send and repeated byte for byte ever after."""

    ref = fields.CharField(max_length=26, unique=True)
    case_no = fields.CharField(max_length=21)
    verb = fields.CharField(max_length=24)
    subject = fields.CharField(max_length=64)
    data_version = fields.IntField(default=0)
    wire_version = fields.IntField(default=0)
    state = fields.CharField(max_length=12)
    body_sealed: str | None = fields.TextField(null=True)
    body_sha256 = fields.CharField(max_length=64, default="")
    attempts = fields.IntField(default=0)
    revived = fields.IntField(default=0)
    started_at = UtcDatetimeField()
    sent_at = UtcDatetimeField(null=True)
    settled_at = UtcDatetimeField(null=True)
    code = fields.CharField(max_length=16, default="")
    note = fields.CharField(max_length=200, default="")

    class Meta:
        app = "onewindow"
        table = "onewindow_forwarding"
        unique_together = (("case_no", "verb", "subject"),)
        indexes = (("state", "id"),)


class Attachment(Row):
    """A file the platform already holds for a case, so that it travels once."""

    case_no = fields.CharField(max_length=21)
    material_ref = fields.CharField(max_length=26)
    sha256 = fields.CharField(max_length=64)
    attach_id = fields.CharField(max_length=64)

    class Meta:
        app = "onewindow"
        table = "onewindow_attachment"
        unique_together = (("case_no", "material_ref"),)


class Call(Row):
    """One attempt to speak to the platform: what, when, which bytes (digest), and how it ended. No body is kept here."""

    case_no = fields.CharField(max_length=21, null=True)
    forwarding_ref = fields.CharField(max_length=26, null=True)
    verb = fields.CharField(max_length=24)
    digest = fields.CharField(max_length=64)
    info = fields.CharField(max_length=200, default="")
    duration_ms = fields.IntField(null=True)
    http_status = fields.IntField(null=True)
    code = fields.CharField(max_length=16, default="")
    outcome = fields.CharField(max_length=16)
    message = fields.CharField(max_length=200, default="")

    class Meta:
        app = "onewindow"
        table = "onewindow_call"
        indexes = (("case_no", "id"), ("forwarding_ref", "id"))


class Event(Row):
    """One event of the platform, stored before it is applied. The unique pair is the platform's own identity of it."""

    project_no = fields.CharField(max_length=50)
    seq = fields.IntField()
    type = fields.CharField(max_length=32)
    # Null when the platform's time could not be read: such an event is shown to a person.
    at = UtcDatetimeField(null=True)
    payload_sealed = fields.TextField()
    payload_sha256 = fields.CharField(max_length=64)
    state = fields.CharField(max_length=10)
    note = fields.CharField(max_length=200, default="")
    # Another content came later under the same sequence number. The first telling stands, a person is shown both facts.
    disputed = fields.BooleanField(default=False)
    pulled = fields.BooleanField(default=False)
    # Where the file of a RESULT_FILE goes; chosen before it is fetched, so that a second try overwrites the first.
    storage_key = fields.CharField(max_length=120, null=True)
    applied_at = UtcDatetimeField(null=True)

    class Meta:
        app = "onewindow"
        table = "onewindow_event"
        unique_together = (("project_no", "seq"),)
        indexes = (("state", "id"),)


class Cursor(Model):
    """How far `event.pull` has been read."""

    name = fields.CharField(max_length=32, primary_key=True)
    position = fields.CharField(max_length=200)
    moved_at = UtcDatetimeField()

    class Meta:
        app = "onewindow"
        table = "onewindow_cursor"
