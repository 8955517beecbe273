"""PostgreSQL only: the list of a person's cases is read from the index alone, and the table is vacuumed often enough to keep it so.

The index keeps the name that the model's plain index got, so that a later migration finds it.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops

NAME = "idx_cases_case_account_6c9a1b"
# The columns of backend.cases.queries.COLUMNS; no personal data and nothing sealed is in them.
STATEMENTS = (
    f"DROP INDEX {NAME}",
    f"CREATE INDEX {NAME} ON cases_case (account_ref, id DESC) INCLUDE "
    "(case_no, item_code, item_name, department_name, state, seq, submitted_at, changed_at, promise_on)",
    "ALTER TABLE cases_case SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02, "
    "autovacuum_analyze_scale_factor = 0.02)",
)


async def forward(apps, editor):
    if editor.client.capabilities.dialect == "sqlite":
        return
    for statement in STATEMENTS:
        await editor.client.execute_query(statement)


class Migration(migrations.Migration):
    dependencies = [("cases", "0001_initial")]
    operations = [ops.RunPython(forward, ops.RunPython.noop)]
