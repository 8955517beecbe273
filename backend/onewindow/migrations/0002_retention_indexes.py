"""Forgetting bodies and calls finds its rows by an index instead of reading everything that was ever sent."""

from tortoise import migrations
from tortoise.migrations import operations as ops

STATEMENTS = (
    "CREATE INDEX onewindow_forwarding_bodies ON onewindow_forwarding (state, settled_at) WHERE body_sealed IS NOT NULL",
    "CREATE INDEX onewindow_call_age ON onewindow_call (created_at)",
)


async def forward(apps, editor):
    for statement in STATEMENTS:
        await editor.client.execute_query(statement)


class Migration(migrations.Migration):
    dependencies = [("onewindow", "0001_initial")]
    operations = [ops.RunPython(forward, ops.RunPython.noop)]
