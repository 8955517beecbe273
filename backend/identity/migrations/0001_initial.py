from tortoise import migrations
from tortoise.migrations import operations as ops
from kernel.clock import now
from kernel.db import UtcDatetimeField
from orjson import loads
from tortoise.fields.base import OnDelete
from tortoise.fields.data import JSON_DUMPS
from tortoise import fields

class Migration(migrations.Migration):
    initial = True

    operations = [
        ops.CreateModel(
            name='Account',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('ref', fields.CharField(unique=True, max_length=26)),
                ('openid_index', fields.CharField(null=True, unique=True, max_length=64)),
                ('openid_sealed', fields.TextField(null=True, unique=False)),
                ('phone_index', fields.CharField(null=True, db_index=True, max_length=64)),
                ('phone_sealed', fields.TextField(null=True, unique=False)),
                ('phone_mask', fields.CharField(null=True, max_length=40)),
                ('phone_country_code', fields.CharField(null=True, max_length=8)),
                ('phone_verified_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('name_sealed', fields.TextField(null=True, unique=False)),
                ('name_mask', fields.CharField(null=True, max_length=120)),
                ('id_type', fields.CharField(null=True, max_length=32)),
                ('id_index', fields.CharField(null=True, db_index=True, max_length=64)),
                ('id_sealed', fields.TextField(null=True, unique=False)),
                ('id_mask', fields.CharField(null=True, max_length=40)),
                ('identity_verified_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('assurance_level', fields.SmallIntField(default=0)),
            ],
            options={'table': 'identity_account', 'app': 'identity', 'pk_attr': 'id', 'table_description': "A citizen's account. Personal data are sealed per field, with a mask for lists and a blind index where"},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Attempt',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('scope', fields.CharField(max_length=32)),
                ('subject', fields.CharField(max_length=64)),
                ('window_started_at', UtcDatetimeField(auto_now=False, auto_now_add=False)),
                ('tries', fields.IntField()),
            ],
            options={'table': 'identity_attempt', 'app': 'identity', 'unique_together': (('scope', 'subject'),), 'pk_attr': 'id', 'table_description': 'Counted tries of one subject in one time window, in the database so that a restart or a second process'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Courier',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('ref', fields.CharField(unique=True, max_length=26)),
                ('login_name', fields.CharField(unique=True, max_length=40)),
                ('password_hash', fields.TextField(unique=False)),
                ('carrier', fields.CharField(max_length=16)),
                ('areas', fields.JSONField(default=list, encoder=JSON_DUMPS, decoder=loads)),
                ('name_sealed', fields.TextField(unique=False)),
                ('name_mask', fields.CharField(max_length=120)),
                ('phone_sealed', fields.TextField(null=True, unique=False)),
                ('phone_mask', fields.CharField(null=True, max_length=40)),
                ('disabled_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'identity_courier', 'app': 'identity', 'pk_attr': 'id', 'table_description': "A carrier's courier, who logs in with a name and a password given by the carrier."},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Session',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('account', fields.ForeignKeyField('identity.Account', source_field='account_id', null=True, db_index=True, db_constraint=True, to_field='id', related_name='sessions', on_delete=OnDelete.CASCADE)),
                ('courier', fields.ForeignKeyField('identity.Courier', source_field='courier_id', null=True, db_index=True, db_constraint=True, to_field='id', related_name='sessions', on_delete=OnDelete.CASCADE)),
                ('role', fields.CharField(max_length=16)),
                ('access_hash', fields.CharField(unique=True, max_length=64)),
                ('refresh_hash', fields.CharField(unique=True, max_length=64)),
                ('idle_until', UtcDatetimeField(auto_now=False, auto_now_add=False)),
                ('absolute_until', UtcDatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
                ('last_used_at', UtcDatetimeField(auto_now=False, auto_now_add=False)),
                ('revoked_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ('revoked_reason', fields.CharField(null=True, max_length=32)),
                ('device', fields.CharField(null=True, max_length=120)),
            ],
            options={'table': 'identity_session', 'app': 'identity', 'pk_attr': 'id', 'table_description': 'One login on one device: the family of all tokens that descend from it. Only hashes of tokens are stored.'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='RefreshReplay',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('session', fields.ForeignKeyField('identity.Session', source_field='session_id', db_index=True, db_constraint=True, to_field='id', related_name='used_refreshes', on_delete=OnDelete.CASCADE)),
                ('refresh_hash', fields.CharField(unique=True, max_length=64)),
                ('key_hash', fields.CharField(null=True, max_length=64)),
                ('answer_sealed', fields.TextField(null=True, unique=False)),
                ('answer_until', UtcDatetimeField(db_index=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'identity_refresh_replay', 'app': 'identity', 'pk_attr': 'id', 'table_description': 'A refresh token that was used: to recognise a second use, and to repeat the answer for a minute when the'},
            bases=['Row'],
        ),
        ops.CreateModel(
            name='Verification',
            fields=[
                ('id', fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ('created_at', UtcDatetimeField(default=now, auto_now=False, auto_now_add=False)),
                ('ref', fields.CharField(unique=True, max_length=26)),
                ('account', fields.ForeignKeyField('identity.Account', source_field='account_id', db_index=True, db_constraint=True, to_field='id', related_name='verifications', on_delete=OnDelete.CASCADE)),
                ('id_index', fields.CharField(db_index=True, max_length=64)),
                ('outcome', fields.CharField(default='asked', max_length=24)),
                ('answered_at', UtcDatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={'table': 'identity_verification', 'app': 'identity', 'pk_attr': 'id', 'table_description': 'One question to the population register: written before the question is asked, completed with its answer.'},
            bases=['Row'],
        ),
    ]
