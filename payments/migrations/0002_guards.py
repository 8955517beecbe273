from tortoise import migrations
from tortoise.migrations import operations as ops

from payments import guards


class Migration(migrations.Migration):
    """The ledger only grows, amounts have the right sign, postings add up: held by the database itself."""

    dependencies = [("payments", "0001_initial")]
    initial = False

    operations = [ops.RunPython(guards.install, guards.remove)]
