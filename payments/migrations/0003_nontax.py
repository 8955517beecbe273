from tortoise import migrations
from tortoise.migrations import operations as ops
from kernel.clock import now
from kernel.db import UtcDatetimeField
from tortoise.fields.base import OnDelete
from tortoise import fields
from tortoise.indexes import Index

class Migration(migrations.Migration):
    dependencies = [('payments', '0002_guards')]

    initial = False

    operations = [
        ops.CreateModel(
            name='PayCode',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('bill', fields.ForeignKeyField('payments.Bill', source_field='bill_id', db_constraint=True, to_field='id', related_name='pay_codes', on_delete=OnDelete.RESTRICT)),
                ('channel', fields.CharField(max_length=16)),
                ('pay_code', fields.CharField(max_length=32)),
                ('amount_fen', fields.BigIntField()),
                ('registered', fields.BooleanField(default=False)),
            ],
            options={'table': 'payments_pay_code', 'app': 'payments', 'unique_together': (('channel', 'pay_code'), ('channel', 'bill_id', 'amount_fen')), 'indexes': [Index(fields=['bill_id'], name='payments_pay_code_bill')], 'pk_attr': 'id', 'table_description': 'The number under which a finance platform knows one bill and one amount. Text: leading zeros stay, nothing is computed.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Receipt',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('attempt', fields.ForeignKeyField('payments.Attempt', source_field='attempt_id', db_constraint=True, to_field='id', related_name='receipts', on_delete=OnDelete.RESTRICT)),
                ('part', fields.IntField()),
                ('request_no', fields.CharField(unique=True, max_length=32)),
                ('channel', fields.CharField(max_length=16)),
                ('unit_code', fields.CharField(max_length=18)),
                ('amount_fen', fields.BigIntField()),
                ('state', fields.CharField(max_length=24)),
                ('code', fields.CharField(null=True, max_length=40)),
                ('number', fields.CharField(null=True, max_length=40)),
                ('check_code', fields.CharField(null=True, max_length=20)),
                ('url', fields.CharField(null=True, max_length=500)),
                ('red_number', fields.CharField(null=True, max_length=40)),
                ('last_error', fields.CharField(null=True, max_length=120)),
                ('event_seq', fields.IntField(default=0)),
            ],
            options={'table': 'payments_receipt', 'app': 'payments', 'unique_together': (('attempt_id', 'part'),), 'pk_attr': 'id', 'table_description': 'One e-receipt (财政电子票据) of what one attempt paid into its bill. After a part of it went back, a new row with the next `part`.'},
            bases=['Row'],
        ),
    ]
