from tortoise import migrations
from tortoise.migrations import operations as ops
from kernel.clock import now
from kernel.db import UtcDatetimeField
from tortoise.fields.base import OnDelete
from tortoise import fields

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='Department',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('code', fields.CharField(unique=True, max_length=18)),
                ('name', fields.CharField(max_length=100)),
                ('short_name', fields.CharField(max_length=40)),
                ('region_code', fields.CharField(max_length=12)),
                ('consult_phone', fields.CharField(max_length=30)),
                ('complaint_phone', fields.CharField(max_length=30)),
            ],
            options={'table': 'catalog_department', 'app': 'catalog', 'pk_attr': 'id', 'table_description': 'A government body that decides on items.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Item',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('item_code', fields.CharField(unique=True, max_length=40)),
                ('rank', fields.IntField(default=500)),
            ],
            options={'table': 'catalog_item', 'app': 'catalog', 'pk_attr': 'id', 'table_description': 'A service item (事项) across all its versions.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='ItemVersion',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('item', fields.ForeignKeyField('catalog.Item', source_field='item_id', db_index=True, db_constraint=True, to_field='id', related_name='versions', on_delete=OnDelete.RESTRICT)),
                ('version', fields.IntField()),
                ('effective_from', fields.DateField()),
                ('effective_to', fields.DateField(null=True)),
                ('name', fields.CharField(max_length=200)),
                ('search_text', fields.TextField(unique=False)),
                ('audience', fields.CharField(max_length=16)),
                ('department_code', fields.CharField(max_length=18)),
                ('region_code', fields.CharField(max_length=12)),
                ('catalog_code', fields.CharField(db_index=True, max_length=12)),
                ('task_code', fields.CharField(max_length=36)),
                ('card', fields.TextField(unique=False)),
                ('body', fields.TextField(unique=False)),
                ('etag', fields.CharField(max_length=70)),
                ('source_hash', fields.CharField(max_length=64)),
                ('author', fields.CharField(max_length=60)),
                ('reason', fields.CharField(max_length=200)),
            ],
            options={'table': 'catalog_item_version', 'app': 'catalog', 'unique_together': (('item', 'version'),), 'pk_attr': 'id', 'table_description': 'One published state of an item: never changed, only ended. `body` is the guide exactly as phones get it.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Offer',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('version', fields.ForeignKeyField('catalog.ItemVersion', source_field='version_id', db_index=True, db_constraint=True, to_field='id', related_name='offers', on_delete=OnDelete.CASCADE)),
                ('prefix', fields.CharField(max_length=12)),
            ],
            options={'table': 'catalog_offer', 'app': 'catalog', 'unique_together': (('version', 'prefix'),), 'pk_attr': 'id', 'table_description': 'Where a version can be applied for: a region and everything below it. `prefix` is the code without its zeros.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Region',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('code', fields.CharField(unique=True, max_length=12)),
                ('name', fields.CharField(max_length=60)),
                ('full_name', fields.CharField(max_length=200)),
                ('level', fields.CharField(max_length=8)),
                ('parent_code', fields.CharField(null=True, db_index=True, max_length=12)),
                ('served', fields.BooleanField(default=False)),
                ('urban', fields.BooleanField(default=False)),
                ('valid_from', fields.DateField()),
                ('valid_to', fields.DateField(null=True)),
                ('successor_code', fields.CharField(null=True, max_length=12)),
            ],
            options={'table': 'catalog_region', 'app': 'catalog', 'pk_attr': 'id', 'table_description': 'A place of the administrative division. `code` has 12 digits, right-padded with zeros.'},
            bases=['Row'],
        ),
    ]
