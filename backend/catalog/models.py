"""Rows of the catalogue: regions, departments, items, their published versions, and where each version is offered.
Private to this slice.
"""

from datetime import date

from tortoise import fields

from kernel.db import Row


class Region(Row):
    """A place of the administrative division. `code` has 12 digits, right-padded with zeros."""

    code = fields.CharField(max_length=12, unique=True)
    name = fields.CharField(max_length=60)
    full_name = fields.CharField(max_length=200)
    level = fields.CharField(max_length=8)  # province | city | county | town | village
    parent_code = fields.CharField(max_length=12, null=True, db_index=True)
    served = fields.BooleanField(default=False)  # inside our county; the others are addresses and courier zones only
    urban = fields.BooleanField(default=False)  # a street (街道) or neighbourhood (社区), not a town or village
    valid_from: date = fields.DateField()
    valid_to: date | None = fields.DateField(null=True)
    successor_code = fields.CharField(max_length=12, null=True)

    class Meta:
        table = "catalog_region"


class Department(Row):
    """A government body that decides on items."""

    code = fields.CharField(max_length=18, unique=True)  # 统一社会信用代码
    name = fields.CharField(max_length=100)
    short_name = fields.CharField(max_length=40)
    region_code = fields.CharField(max_length=12)
    consult_phone = fields.CharField(max_length=30)
    complaint_phone = fields.CharField(max_length=30)

    class Meta:
        table = "catalog_department"


class Item(Row):
    """A service item (事项) across all its versions."""

    item_code = fields.CharField(max_length=40, unique=True)
    rank = fields.IntField(default=500)

    class Meta:
        table = "catalog_item"


class ItemVersion(Row):
    """One published state of an item: never changed, only ended. `body` is the guide exactly as phones get it."""

    item: fields.ForeignKeyRelation[Item] = fields.ForeignKeyField(
        "catalog.Item", related_name="versions", db_index=True, on_delete=fields.RESTRICT
    )
    version = fields.IntField()
    effective_from: date = fields.DateField()
    effective_to: date | None = fields.DateField(null=True)  # the first day on which it no longer applies
    name = fields.CharField(max_length=200)
    search_text = fields.TextField()
    audience = fields.CharField(max_length=16)  # person | enterprise | both
    department_code = fields.CharField(max_length=18)
    region_code = fields.CharField(max_length=12)
    catalog_code = fields.CharField(max_length=12, db_index=True)
    task_code = fields.CharField(max_length=36)
    card = fields.TextField()
    body = fields.TextField()
    etag = fields.CharField(max_length=70)
    source_hash = fields.CharField(max_length=64)
    author = fields.CharField(max_length=60)
    reason = fields.CharField(max_length=200)

    item_id: int

    class Meta:
        table = "catalog_item_version"
        unique_together = (("item", "version"),)


class Offer(Row):
    """Where a version can be applied for: a region and everything below it. `prefix` is the code without its zeros."""

    version: fields.ForeignKeyRelation[ItemVersion] = fields.ForeignKeyField(
        "catalog.ItemVersion", related_name="offers", db_index=True, on_delete=fields.CASCADE
    )
    prefix = fields.CharField(max_length=12)

    version_id: int

    class Meta:
        table = "catalog_offer"
        unique_together = (("version", "prefix"),)
