"""The job that expires corrections looks only at open ones, not at every correction whose deadline has ever passed.

The index keeps the name that the model's plain index got, so that a later migration finds it.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops

NAME = "idx_cases_corre_deadlin_94e293"
# Not partial: the state arrives as a parameter, from which a prepared plan cannot conclude that the index covers it.
STATEMENTS = (f"DROP INDEX {NAME}", f"CREATE INDEX {NAME} ON cases_correction (state, deadline_at)")


async def forward(apps, editor):
    for statement in STATEMENTS:
        await editor.client.execute_query(statement)


class Migration(migrations.Migration):
    dependencies = [("cases", "0002_case_list_index")]
    operations = [ops.RunPython(forward, ops.RunPython.noop)]
