from tortoise import migrations
from tortoise.migrations import operations as ops
from kernel.clock import now
from kernel.db import UtcDatetimeField
from orjson import loads
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise import fields
from tortoise.indexes import Index

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='Message',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('message_no', fields.CharField(unique=True, max_length=26)),
                ('key', fields.CharField(unique=True, max_length=160)),
                ('recipient_ref', fields.CharField(max_length=64)),
                ('template', fields.CharField(max_length=32)),
                ('title', fields.CharField(max_length=60)),
                ('body_sealed', fields.TextField(unique=False)),
                ('page', fields.CharField(max_length=200)),
                ('link_ref', fields.CharField(max_length=64)),
                ('unread', fields.BooleanField(default=True)),
            ],
            options={'table': 'notifications_message', 'app': 'notifications', 'indexes': [Index(fields=['recipient_ref', 'id']), Index(fields=['recipient_ref', 'unread'])], 'pk_attr': 'id', 'table_description': 'One message to one person. Being here is its delivery in the app. Text and values are sealed, for they may hold what a clerk wrote.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Delivery',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('message', fields.ForeignKeyField('notifications.Message', source_field='message_id', db_constraint=True, to_field='id', related_name='deliveries', on_delete=OnDelete.RESTRICT)),
                ('channel', fields.CharField(max_length=24)),
                ('state', fields.CharField(max_length=16)),
                ('code', fields.IntField(null=True)),
                ('note', fields.CharField(null=True, max_length=120)),
                ('address_index', fields.CharField(null=True, max_length=64)),
                ('template_id', fields.CharField(null=True, max_length=64)),
                ('holds_quota', fields.BooleanField(default=False)),
                ('changed_at', UtcDatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'notifications_delivery', 'app': 'notifications', 'unique_together': (('message', 'channel'),), 'indexes': [Index(fields=['address_index', 'template_id']), Index(fields=['state', 'changed_at'])], 'pk_attr': 'id', 'table_description': 'A message on one channel. `holds_quota` says whether it has a reservation. The address is kept as an index only.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Quota',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('address_index', fields.CharField(max_length=64)),
                ('template_id', fields.CharField(max_length=64)),
                ('granted', fields.IntField(default=0)),
                ('reserved', fields.IntField(default=0)),
                ('consumed', fields.IntField(default=0)),
                ('blocked', fields.BooleanField(default=False)),
                ('accepted', fields.BooleanField(default=False)),
                ('last_event_at', UtcDatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'notifications_quota', 'app': 'notifications', 'unique_together': (('address_index', 'template_id'),), 'pk_attr': 'id', 'table_description': 'What one address has granted for one WeChat template, and how much of it is spoken for.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Tap',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('address_index', fields.CharField(max_length=64)),
                ('template_id', fields.CharField(max_length=64)),
                ('tapped_at_s', fields.BigIntField()),
            ],
            options={'table': 'notifications_tap', 'app': 'notifications', 'unique_together': (('address_index', 'template_id', 'tapped_at_s'),), 'pk_attr': 'id', 'table_description': 'One answer of a person to the subscribe dialog, so that a copy of the report grants nothing twice.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='WechatTemplate',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('name', fields.CharField(unique=True, max_length=32)),
                ('template_id', fields.CharField(unique=True, max_length=64)),
                ('term', fields.CharField(max_length=12)),
                ('mapping', fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
            ],
            options={'table': 'notifications_template', 'app': 'notifications', 'pk_attr': 'id', 'table_description': "Which template of the mini-program's console carries one of ours: its id, its term, and our field → its key."},
            bases=['Row'],
        ),
    ]
