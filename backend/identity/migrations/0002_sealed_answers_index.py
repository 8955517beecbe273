"""The sweep of every minute looks only at answers that are still kept, not at every refresh of the last fortnight.

The index keeps the name that the model's plain index got, so that a later migration finds it.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops

NAME = "idx_identity_re_answer__3529a5"
STATEMENTS = (
    f"DROP INDEX {NAME}",
    f"CREATE INDEX {NAME} ON identity_refresh_replay (answer_until) WHERE answer_sealed IS NOT NULL",
)


async def forward(apps, editor):
    for statement in STATEMENTS:
        await editor.client.execute_query(statement)


class Migration(migrations.Migration):
    dependencies = [("identity", "0001_initial")]
    operations = [ops.RunPython(forward, ops.RunPython.noop)]
