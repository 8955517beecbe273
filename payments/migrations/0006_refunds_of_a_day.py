from tortoise import migrations
from tortoise.migrations import operations as ops
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('payments', '0005_refunds')]

    initial = False

    operations = [
        ops.AddIndex(
            model_name='Refund',
            index=Index(fields=['channel', 'sent_at', 'id'], name='payments_refund_sent'),
        ),
    ]
