"""What the second version declares."""

from tortoise import fields
from tortoise.models import Model


class Shelf(Model):
    id = fields.BigIntField(primary_key=True)
    label = fields.CharField(max_length=80)
    room = fields.IntField(db_index=True)

    class Meta:
        app = "altered"
        table = "altered_shelf"


class Book(Model):
    id = fields.BigIntField(primary_key=True)
    shelf = fields.ForeignKeyField("altered.Shelf", on_delete=fields.CASCADE)

    class Meta:
        app = "altered"
        table = "altered_book"
        indexes = [("shelf_id",)]
