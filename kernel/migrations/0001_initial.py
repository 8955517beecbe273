from tortoise import migrations
from tortoise.migrations import operations as ops
from kernel.clock import now
from kernel.db import UtcDatetimeField
from orjson import loads
from tortoise.fields.data import JSON_DUMPS
from tortoise import fields
from tortoise.indexes import PartialIndex

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='IdempotencyRow',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('scope', fields.CharField(max_length=120)),
                ('key', fields.CharField(max_length=64)),
                ('request_hash', fields.CharField(max_length=64)),
                ('answer', fields.TextField(null=True, unique=False)),
                ('created_ms', fields.BigIntField(db_index=True)),
            ],
            options={'table': 'kernel_idempotency', 'app': 'kernel', 'unique_together': (('scope', 'key'),), 'pk_attr': 'id', 'table_description': "The sealed answer of a finished command, by actor and route and the client's key, kept for at least a day."},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='InboxRow',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('partner', fields.CharField(max_length=32)),
                ('external_id', fields.CharField(max_length=128)),
                ('headers', fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ('body', fields.TextField(unique=False)),
                ('handled_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('note', fields.CharField(null=True, max_length=200)),
            ],
            options={'table': 'kernel_inbox', 'app': 'kernel', 'unique_together': (('partner', 'external_id'),), 'pk_attr': 'id', 'table_description': 'A verified message from a partner, stored before it was acknowledged. The body is sealed.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Nonce',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('partner', fields.CharField(max_length=32)),
                ('nonce', fields.CharField(max_length=128)),
                ('seen_ms', fields.BigIntField(db_index=True)),
            ],
            options={'table': 'kernel_nonce', 'app': 'kernel', 'unique_together': (('partner', 'nonce'),), 'pk_attr': 'id', 'table_description': 'A nonce a partner has used, remembered for its window so that a message cannot be replayed.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='OutboxRow',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('topic', fields.CharField(max_length=64)),
                ('key', fields.CharField(unique=True, max_length=160)),
                ('lane', fields.CharField(null=True, max_length=120)),
                ('payload', fields.JSONField(encoder=JSON_DUMPS, decoder=loads)),
                ('state', fields.SmallIntField(default=0, db_default=0)),
                ('run_at', fields.BigIntField()),
                ('attempts', fields.IntField(default=0, db_default=0)),
                ('crashes', fields.IntField(default=0, db_default=0)),
                ('lease', fields.CharField(null=True, max_length=32)),
                ('error', fields.CharField(null=True, max_length=500)),
                ('created_ms', fields.BigIntField()),
                ('done_ms', fields.BigIntField(null=True)),
            ],
            options={'table': 'kernel_outbox', 'app': 'kernel', 'indexes': [PartialIndex(fields=['run_at', 'id'], condition={'state': 0}), PartialIndex(fields=['lane', 'id'], condition={'state': 0})], 'pk_attr': 'id', 'table_description': "A promise to the outside, written in the transaction of the fact. `run_at` is the due time, or the lease's end while leased."},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='PartnerToken',
            fields=[
                ('name', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                ('token', fields.TextField(null=True, unique=False)),
                ('expires_ms', fields.BigIntField(default=0, db_default=0)),
                ('lease', fields.CharField(null=True, max_length=32)),
                ('lease_until_ms', fields.BigIntField(default=0, db_default=0)),
            ],
            options={'table': 'kernel_partner_token', 'app': 'kernel', 'pk_attr': 'name', 'table_description': "One partner's access token for all processes, with the lease of whoever is fetching the next one."},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Serial',
            fields=[
                ('scope', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                ('value', fields.BigIntField()),
            ],
            options={'table': 'kernel_serial', 'app': 'kernel', 'pk_attr': 'scope', 'table_description': 'A counter that never restarts.'},
            bases=['Model'],
        ),
    ]
