from tortoise import migrations
from tortoise.migrations import operations as ops
from kernel.clock import now
from kernel.db import UtcDatetimeField
from tortoise import fields
from tortoise.indexes import Index

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='Attachment',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('case_no', fields.CharField(max_length=21)),
                ('material_ref', fields.CharField(max_length=26)),
                ('sha256', fields.CharField(max_length=64)),
                ('attach_id', fields.CharField(max_length=64)),
            ],
            options={'table': 'onewindow_attachment', 'app': 'onewindow', 'unique_together': (('case_no', 'material_ref'),), 'pk_attr': 'id', 'table_description': 'A file the platform already holds for a case, so that it travels once.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Call',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('case_no', fields.CharField(null=True, max_length=21)),
                ('forwarding_ref', fields.CharField(null=True, max_length=26)),
                ('verb', fields.CharField(max_length=24)),
                ('digest', fields.CharField(max_length=64)),
                ('info', fields.CharField(default='', max_length=200)),
                ('duration_ms', fields.IntField(null=True)),
                ('http_status', fields.IntField(null=True)),
                ('code', fields.CharField(default='', max_length=16)),
                ('outcome', fields.CharField(max_length=16)),
                ('message', fields.CharField(default='', max_length=200)),
            ],
            options={'table': 'onewindow_call', 'app': 'onewindow', 'indexes': [Index(fields=['case_no', 'id']), Index(fields=['forwarding_ref', 'id'])], 'pk_attr': 'id', 'table_description': 'One attempt to speak to the platform: what, when, which bytes (digest), and how it ended. No body is kept here.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Cursor',
            fields=[
                ('name', fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ('position', fields.CharField(max_length=200)),
                ('moved_at', UtcDatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'onewindow_cursor', 'app': 'onewindow', 'pk_attr': 'name', 'table_description': 'How far `event.pull` has been read.'},
            bases=['Model'],
        ),
        ops.CreateModel(
            name='Event',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('project_no', fields.CharField(max_length=50)),
                ('seq', fields.IntField()),
                ('type', fields.CharField(max_length=32)),
                ('at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('payload_sealed', fields.TextField(unique=False)),
                ('payload_sha256', fields.CharField(max_length=64)),
                ('state', fields.CharField(max_length=10)),
                ('note', fields.CharField(default='', max_length=200)),
                ('disputed', fields.BooleanField(default=False)),
                ('pulled', fields.BooleanField(default=False)),
                ('storage_key', fields.CharField(null=True, max_length=120)),
                ('applied_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'onewindow_event', 'app': 'onewindow', 'unique_together': (('project_no', 'seq'),), 'indexes': [Index(fields=['state', 'id'])], 'pk_attr': 'id', 'table_description': "One event of the platform, stored before it is applied. The unique pair is the platform's own identity of it."},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Forwarding',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('ref', fields.CharField(unique=True, max_length=26)),
                ('case_no', fields.CharField(max_length=21)),
                ('verb', fields.CharField(max_length=24)),
                ('subject', fields.CharField(max_length=64)),
                ('data_version', fields.IntField(default=0)),
                ('wire_version', fields.IntField(default=0)),
                ('state', fields.CharField(max_length=12)),
                ('body_sealed', fields.TextField(null=True, unique=False)),
                ('body_sha256', fields.CharField(default='', max_length=64)),
                ('attempts', fields.IntField(default=0)),
                ('revived', fields.IntField(default=0)),
                ('started_at', UtcDatetimeField(auto_now=False, auto_now_add=False)),
                ('sent_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('settled_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('code', fields.CharField(default='', max_length=16)),
                ('note', fields.CharField(default='', max_length=200)),
            ],
            options={'table': 'onewindow_forwarding', 'app': 'onewindow', 'unique_together': (('case_no', 'verb', 'subject'),), 'indexes': [Index(fields=['state', 'id'])], 'pk_attr': 'id', 'table_description': 'One message to the platform. The body is sealed before the first send and repeated byte for byte ever after.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Project',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('case_no', fields.CharField(unique=True, max_length=21)),
                ('project_no', fields.CharField(unique=True, max_length=50)),
                ('applied_seq', fields.IntField(default=0)),
                ('wire_version', fields.IntField(default=0)),
                ('wire_state', fields.CharField(default='', max_length=16)),
            ],
            options={'table': 'onewindow_project', 'app': 'onewindow', 'pk_attr': 'id', 'table_description': "The platform's number of a case and how far both sides have come. Its lock orders the events of the case."},
            bases=['Row'],
        ),
    ]
