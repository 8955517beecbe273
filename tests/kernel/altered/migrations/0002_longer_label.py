"""The second version: a longer label, and one index less."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("altered", "0001_initial")]

    operations = [
        ops.RemoveIndex(model_name="Shelf", name="idx_altered_old"),
        ops.AlterField(model_name="Shelf", name="label", field=fields.CharField(max_length=80)),
    ]
