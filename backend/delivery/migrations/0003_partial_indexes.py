"""PostgreSQL only: a new parcel has no courier, no waybill, no bill and nothing to ask about, and writes no entries for them.

Five of its nine indexes hold only the rows that have a value. They keep the names that the model's plain ones got, so that a
later migration finds them.
"""

from tortoise import migrations
from tortoise.migrations import operations as ops

# Name → what it holds; every statement that uses one compares the column that must not be NULL.
INDEXES = {
    "delivery_parcel_courier": "(courier_ref, id) WHERE courier_ref IS NOT NULL",
    "delivery_parcel_poll": "(poll_at, id) WHERE poll_at IS NOT NULL",
    "delivery_parcel_bill": "(bill_no) WHERE bill_no IS NOT NULL",
    "delivery_parcel_waybill": "(waybill_no) WHERE waybill_no IS NOT NULL",
}
UNIQUE = "uid_delivery_pa_carrier_e3727b"
STATEMENTS = (
    *(
        statement
        for name, rows in INDEXES.items()
        for statement in (f"DROP INDEX {name}", f"CREATE INDEX {name} ON delivery_parcel {rows}")
    ),
    f"ALTER TABLE delivery_parcel DROP CONSTRAINT IF EXISTS {UNIQUE}",
    f"DROP INDEX IF EXISTS {UNIQUE}",
    f"CREATE UNIQUE INDEX {UNIQUE} ON delivery_parcel (carrier, waybill_no) WHERE waybill_no IS NOT NULL",
)


async def forward(apps, editor):
    if editor.client.capabilities.dialect == "sqlite":
        return
    for statement in STATEMENTS:
        await editor.client.execute_query(statement)


class Migration(migrations.Migration):
    dependencies = [("delivery", "0002_order_sent")]
    operations = [ops.RunPython(forward, ops.RunPython.noop)]
