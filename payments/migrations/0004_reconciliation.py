from tortoise import migrations
from tortoise.migrations import operations as ops
from kernel.clock import now
from kernel.db import UtcDatetimeField
from tortoise.fields.base import OnDelete
from tortoise import fields
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('payments', '0003_nontax')]

    initial = False

    operations = [
        ops.CreateModel(
            name='ReconRun',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('channel', fields.CharField(max_length=16)),
                ('day_on', fields.DateField()),
                ('kind', fields.CharField(max_length=8)),
                ('state', fields.CharField(max_length=16)),
                ('reason', fields.CharField(null=True, max_length=120)),
                ('tries', fields.IntField(default=0)),
                ('next_try_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('claim', fields.CharField(null=True, max_length=32)),
                ('claimed_until', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('sha256', fields.CharField(null=True, max_length=64)),
                ('proof', fields.CharField(null=True, max_length=8)),
                ('file_key', fields.CharField(null=True, max_length=120)),
                ('line_count', fields.IntField(default=0)),
                ('matched_count', fields.IntField(default=0)),
                ('other_day_count', fields.IntField(default=0)),
                ('foreign_count', fields.IntField(default=0)),
                ('difference_count', fields.IntField(default=0)),
                ('ours_count', fields.IntField(default=0)),
                ('paid_fen', fields.BigIntField(default=0)),
                ('refunded_fen', fields.BigIntField(default=0)),
                ('fees_fen', fields.BigIntField(default=0)),
                ('ours_fen', fields.BigIntField(default=0)),
                ('matched_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'payments_recon_run', 'app': 'payments', 'unique_together': (('channel', 'day_on', 'kind'),), 'pk_attr': 'id', 'table_description': 'One daily file of one channel: how far it came and what it added up to. Amounts in fen.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='ReconLine',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('run', fields.ForeignKeyField('payments.ReconRun', source_field='run_id', db_constraint=True, to_field='id', related_name='kept_lines', on_delete=OnDelete.RESTRICT)),
                ('line_no', fields.IntField()),
                ('class_name', fields.CharField(max_length=32)),
                ('number', fields.CharField(null=True, max_length=64)),
                ('channel_txn_id', fields.CharField(null=True, max_length=64)),
                ('amount_fen', fields.BigIntField()),
                ('currency', fields.CharField(max_length=8)),
                ('fees_fen', fields.BigIntField()),
                ('happened_at', UtcDatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'payments_recon_line', 'app': 'payments', 'indexes': [Index(fields=['run_id', 'line_no'], name='payments_recon_line_run'), Index(fields=['number'], name='payments_recon_line_number')], 'pk_attr': 'id', 'table_description': 'One line of a file that is not a plain match. Matching ones are counted only: the file itself is kept, and proves them.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='ReconSignature',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('channel', fields.CharField(max_length=16)),
                ('day_on', fields.DateField()),
                ('signer', fields.CharField(max_length=64)),
                ('digest', fields.CharField(max_length=64)),
            ],
            options={'table': 'payments_recon_signature', 'app': 'payments', 'unique_together': (('channel', 'day_on', 'digest', 'signer'),), 'pk_attr': 'id', 'table_description': "One person's signature under one day's report, as it was then. Insert only. Two of the same digest close the day."},
            bases=['Row'],
        ),
        ops.AddIndex(
            model_name='Attempt',
            index=Index(fields=['channel', 'paid_at', 'id'], name='payments_attempt_paid'),
        ),
        ops.AddField(
            model_name='Difference',
            name='acted_at',
            field=UtcDatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddField(
            model_name='Difference',
            name='approved_by',
            field=fields.CharField(null=True, max_length=64),
        ),
        ops.AddField(
            model_name='Difference',
            name='day_on',
            field=fields.DateField(null=True),
        ),
        ops.AddField(
            model_name='Difference',
            name='owner',
            field=fields.CharField(null=True, max_length=64),
        ),
        ops.AddField(
            model_name='Difference',
            name='resolved_at',
            field=UtcDatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.AddIndex(
            model_name='Difference',
            index=Index(fields=['channel', 'day_on', 'id'], name='payments_difference_day'),
        ),
    ]
