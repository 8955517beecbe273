"""Rows of the papers slice: which code stands on which paper. What the paper says is never stored here."""

from tortoise import fields

from kernel.db import Row


class Paper(Row):
    """One paper that strangers may verify. `number` is its public number in the slice that answers for its kind."""

    code = fields.CharField(max_length=26, unique=True)
    kind = fields.CharField(max_length=32)
    number = fields.CharField(max_length=64)

    class Meta:
        table = "papers_paper"
        unique_together = (("kind", "number"),)
