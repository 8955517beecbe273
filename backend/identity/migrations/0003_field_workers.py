"""Couriers and agents share one table of accounts: the table of couriers is renamed and gets the columns of an agent.

It renames and therefore breaks the processes of an older version that run beside it. That was still allowed: no version
had been released. Rows keep their ids, references and passwords, and sessions stay alive. The index of the
sessions' column keeps its first name.
"""

from orjson import loads
from tortoise import fields, migrations
from tortoise.fields.data import JSON_DUMPS
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import CheckConstraint

TABLE = "identity_field_worker"
ROLE = CheckConstraint(
    name="identity_field_worker_role",
    check="(role = 'courier' AND carrier IS NOT NULL AND kind IS NULL AND organisation IS NULL "
    "AND skills IS NULL AND serving_since_on IS NULL) OR (role = 'agent' AND carrier IS NULL "
    "AND kind IS NOT NULL AND kind IN ('proxy', 'grid') AND organisation IS NOT NULL "
    "AND skills IS NOT NULL AND serving_since_on IS NOT NULL)",
)


class RenameModelAndTable(ops.RenameModel):
    """The ORM's own operation leaves a table with a chosen name as it is."""

    def state_forward(self, app_label, state):
        super().state_forward(app_label, state)
        model = state.models[(app_label, self.new_name)]
        model.table = model.options["table"] = TABLE
        state.reload_model(app_label, self.new_name)


class RenameReference(ops.RenameField):
    """The ORM's own operation keeps the column's old name for a foreign key."""

    def state_forward(self, app_label, state):
        super().state_forward(app_label, state)
        model = state.models[(app_label, self.model_name)]
        model.fields[self.new_name].source_field = f"{self.new_name}_id"
        state.reload_model(app_label, self.model_name)


class Migration(migrations.Migration):
    dependencies = [("identity", "0002_sealed_answers_index")]
    operations = [
        RenameModelAndTable("Courier", "FieldWorker"),
        RenameReference("Session", "courier", "field_worker"),
        ops.AddField("FieldWorker", "role", fields.CharField(max_length=16, db_default="courier")),
        # From now on whoever makes an account must say for which role.
        ops.AlterField("FieldWorker", "role", fields.CharField(max_length=16)),
        ops.AlterField("FieldWorker", "carrier", fields.CharField(null=True, max_length=16)),
        ops.AddField("FieldWorker", "kind", fields.CharField(null=True, max_length=16)),
        ops.AddField("FieldWorker", "organisation", fields.CharField(null=True, max_length=120)),
        ops.AddField("FieldWorker", "skills", fields.JSONField(null=True, encoder=JSON_DUMPS, decoder=loads)),
        ops.AddField("FieldWorker", "serving_since_on", fields.DateField(null=True)),
        ops.AddConstraint("FieldWorker", ROLE),
        ops.AlterModelOptions(
            "FieldWorker",
            {
                "table": TABLE,
                "app": "identity",
                "constraints": [ROLE],
                "pk_attr": "id",
                "table_description": "A courier or an agent, who logs in with a name and a password given by an operator.",
            },
        ),
    ]
