from tortoise import migrations
from tortoise.migrations import operations as ops
from kernel.clock import now
from kernel.db import UtcDatetimeField
from tortoise import fields

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='Paper',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('code', fields.CharField(unique=True, max_length=26)),
                ('kind', fields.CharField(max_length=32)),
                ('number', fields.CharField(max_length=64)),
            ],
            options={'table': 'papers_paper', 'app': 'papers', 'unique_together': (('kind', 'number'),), 'pk_attr': 'id', 'table_description': 'One paper that strangers may verify. `number` is its public number in the slice that answers for its kind.'},
            bases=['Row'],
        ),
    ]
