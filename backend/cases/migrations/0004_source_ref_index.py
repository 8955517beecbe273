"""PostgreSQL only: an event without a sender's own key — every submission has one — no longer writes an entry for it.

The index keeps the name that the model's unique pair got, so that a later migration finds it.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops

NAME = "uid_cases_event_case_id_373861"
STATEMENTS = (
    f"ALTER TABLE cases_event DROP CONSTRAINT IF EXISTS {NAME}",
    f"DROP INDEX IF EXISTS {NAME}",
    f"CREATE UNIQUE INDEX {NAME} ON cases_event (case_id, source_ref) WHERE source_ref IS NOT NULL",
)


async def forward(apps, editor):
    if editor.client.capabilities.dialect == "sqlite":
        return
    for statement in STATEMENTS:
        await editor.client.execute_query(statement)


class Migration(migrations.Migration):
    dependencies = [("cases", "0003_due_corrections_index")]
    operations = [ops.RunPython(forward, ops.RunPython.noop)]
