"""When the carrier was asked, and the two columns by which news finds its parcel."""

from tortoise import migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from kernel.db import UtcDatetimeField

# Whoever waited for an answer when this column came may have been asked already.
_ASKED = "UPDATE delivery_parcel SET order_sent_at = order_at WHERE state = 'QUOTED' AND order_at IS NOT NULL"


async def mark_asked(apps, editor):
    await editor.client.execute_query(_ASKED)


class Migration(migrations.Migration):
    dependencies = [("delivery", "0001_initial")]
    operations = [
        ops.AddField(
            model_name="Parcel",
            name="order_sent_at",
            field=UtcDatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddIndex(model_name="Parcel", index=Index(fields=["bill_no"], name="delivery_parcel_bill")),
        ops.AddIndex(model_name="Parcel", index=Index(fields=["waybill_no"], name="delivery_parcel_waybill")),
        ops.RunPython(mark_asked, ops.RunPython.noop),
    ]
