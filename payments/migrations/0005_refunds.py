from tortoise import migrations
from tortoise.migrations import operations as ops
from kernel.clock import now
from kernel.db import UtcDatetimeField
from tortoise.fields.base import OnDelete
from tortoise import fields
from tortoise.indexes import Index

from kernel import ids
from payments import guards

_COPY = (
    "INSERT INTO payments_refund (created_at, refund_no, dedupe_key, bill_id, attempt_id, channel, amount_fen, currency, cause, "
    "source, way, automatic, state, requested_by, reopened, sends, checks, review_required, event_seq, next_check_at) "
    "SELECT d.created_at, {}, d.dedupe_key, d.bill_id, d.attempt_id, a.channel, d.amount_fen, a.currency, d.cause, d.source, "
    "'channel', NOT EXISTS (SELECT 1 FROM payments_difference x WHERE x.class_name = 'REFUND_CHANNEL_ONLY' "
    "AND x.payment_no = a.payment_no AND x.state = 'open'), 'requested', 'system', {}, 0, 0, {}, 0, d.created_at "
    "FROM payments_refund_due d JOIN payments_attempt a ON a.id = d.attempt_id WHERE d.id = {}"
)


async def carry_over(apps, editor):
    """Every row of money owed back becomes a request owed by rule, which the timer approves and sends.

    Where the channel has told of a refund made by hand, a person decides first: it may have been this one.
    """
    sqlite = editor.client.capabilities.dialect == "sqlite"
    copy = _COPY.format(*("?", "0", "0", "?") if sqlite else ("$1", "FALSE", "FALSE", "$2"))
    for row in await editor.client.execute_query_dict("SELECT id FROM payments_refund_due ORDER BY id"):
        await editor.client.execute_query(copy, [ids.number(), row["id"]])


class Migration(migrations.Migration):
    dependencies = [('payments', '0004_reconciliation')]

    initial = False

    operations = [
        ops.CreateModel(
            name='Refund',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('refund_no', fields.CharField(unique=True, max_length=64)),
                ('dedupe_key', fields.CharField(null=True, unique=True, max_length=120)),
                ('bill', fields.ForeignKeyField('payments.Bill', source_field='bill_id', db_constraint=True, to_field='id', related_name='refunds', on_delete=OnDelete.RESTRICT)),
                ('attempt', fields.ForeignKeyField('payments.Attempt', source_field='attempt_id', db_constraint=True, to_field='id', related_name='refunds', on_delete=OnDelete.RESTRICT)),
                ('follows', fields.ForeignKeyField('payments.Refund', source_field='follows_id', null=True, db_constraint=True, to_field='id', related_name='followers', on_delete=OnDelete.RESTRICT)),
                ('channel', fields.CharField(max_length=16)),
                ('amount_fen', fields.BigIntField()),
                ('currency', fields.CharField(max_length=3)),
                ('cause', fields.CharField(max_length=16)),
                ('source', fields.CharField(max_length=8)),
                ('way', fields.CharField(default='channel', max_length=8)),
                ('automatic', fields.BooleanField(default=False)),
                ('rule_ref', fields.CharField(null=True, max_length=120)),
                ('reason', fields.TextField(null=True, unique=False)),
                ('state', fields.CharField(max_length=16)),
                ('requested_by', fields.CharField(max_length=64)),
                ('decided_by', fields.CharField(null=True, max_length=64)),
                ('document', fields.CharField(null=True, max_length=200)),
                ('request_body', fields.TextField(null=True, unique=False)),
                ('channel_refund_id', fields.CharField(null=True, max_length=64)),
                ('reopened', fields.BooleanField(default=False)),
                ('sent_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('sends', fields.IntField(default=0)),
                ('ladder_from_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('next_check_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('checks', fields.IntField(default=0)),
                ('last_error', fields.CharField(null=True, max_length=120)),
                ('review_required', fields.BooleanField(default=False)),
                ('finished_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('event_seq', fields.IntField(default=0)),
            ],
            options={'table': 'payments_refund', 'app': 'payments', 'indexes': [Index(fields=['bill_id', 'id'], name='payments_refund_bill'), Index(fields=['attempt_id', 'id'], name='payments_refund_attempt'), Index(fields=['follows_id'], name='payments_refund_follows'), Index(fields=['next_check_at', 'id'], name='payments_refund_check'), Index(fields=['state', 'id'], name='payments_refund_state')], 'pk_attr': 'id', 'table_description': 'One return of money from one attempt. `refund_no` is the number the channel knows it by, and a failed one is followed by a new row.'},
            bases=['Row'],
        ),
        ops.AlterModelOptions(
            name='EvidenceRow',
            options={'table': 'payments_evidence', 'app': 'payments', 'unique_together': (('channel', 'kind', 'source_id'),), 'indexes': [Index(fields=['attempt_id'], name='payments_evidence_attempt')], 'pk_attr': 'id', 'table_description': 'One verified statement from outside about an attempt or one of its refunds, and what it changed. Insert only.'},
        ),
        ops.AddField(
            model_name='EvidenceRow',
            name='refund_no',
            field=fields.CharField(null=True, max_length=64),
        ),
        ops.AddField(
            model_name='LedgerTxn',
            name='refund_no',
            field=fields.CharField(null=True, max_length=64),
        ),
        ops.AddIndex(
            model_name='LedgerTxn',
            index=Index(fields=['refund_no'], name='payments_ledger_txn_refund'),
        ),
        ops.AlterModelOptions(
            name='PaymentEvent',
            options={'table': 'payments_event', 'app': 'payments', 'unique_together': (('object_no', 'seq'),), 'pk_attr': 'id', 'table_description': 'One state change of one bill, attempt or refund. Insert only, numbered without gaps.'},
        ),
        ops.RunPython(guards.install_refunds, ops.RunPython.noop),
        ops.RunPython(carry_over, ops.RunPython.noop),
        ops.DeleteModel(name='RefundDue'),
    ]
