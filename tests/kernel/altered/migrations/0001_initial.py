"""The first version: two tables, an old index that the second version no longer wants, and a trigger."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops


async def guard(apps, editor):
    if editor.client.capabilities.dialect == "sqlite":
        await editor.client.execute_query(
            "CREATE TRIGGER altered_shelf_kept BEFORE DELETE ON altered_shelf BEGIN SELECT RAISE(ABORT, 'kept'); END"
        )


async def nothing(apps, editor):
    pass


class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name="Shelf",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("label", fields.CharField(max_length=40)),
                ("room", fields.IntField(db_index=True)),
            ],
            options={
                "table": "altered_shelf", "app": "altered", "pk_attr": "id",
                "indexes": [Index(fields=["label"], name="idx_altered_old")],
            },  # fmt: skip
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Book",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "shelf",
                    fields.ForeignKeyField(
                        "altered.Shelf", source_field="shelf_id", db_constraint=True, to_field="id", on_delete=OnDelete.CASCADE
                    ),
                ),
            ],
            options={
                "table": "altered_book", "app": "altered", "pk_attr": "id",
                "indexes": [Index(fields=["shelf_id"], name="idx_altered_book")],
            },  # fmt: skip
            bases=["Model"],
        ),
        ops.RunPython(code=guard, reverse_code=nothing),
    ]
