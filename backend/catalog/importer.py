"""Publishing checked-in catalogue files: idempotent, all or nothing, a changed item becomes a new version with
author and reason.
"""

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from backend.catalog import files, guide_builder, kept, pinyin, region_codes
from backend.catalog.files import Catalogue
from backend.catalog.models import Department, Item, ItemVersion, Offer, Region
from backend.catalog.source import Complaint, DepartmentSource, ItemSource, RegionSource
from backend.catalog.views import Guide
from kernel import clock, db
from kernel.problems import FieldError, Invalid, NotFound


class ImportRefused(Invalid):
    """The files have faults; nothing was written. `complaints` names file, row and field of each."""

    code, title = "catalogue-import-refused", "目录文件有错误，没有导入任何内容"

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        super().__init__(
            f"目录文件有 {len(complaints)} 处错误，没有导入任何内容",
            errors=[FieldError(f"/{c.file}/{c.row}/{c.field}", c.message) for c in complaints],
        )
        self.complaints = tuple(complaints)


@dataclass(frozen=True)
class ImportReport:
    """What an import changed."""

    regions: int
    departments: int
    items_new: tuple[str, ...]
    items_changed: tuple[str, ...]
    items_unchanged: int


async def import_catalogue(*, folder: Path, author: str, reason: str, on: date | None = None) -> ImportReport:
    """Publishes a folder in one transaction. Running it again with the same files changes nothing. Raises
    ImportRefused.
    """
    day = on or clock.today()
    catalogue, complaints = files.load(folder, on=day)
    if complaints:
        raise ImportRefused(complaints)
    new: list[str] = []
    changed: list[str] = []
    async with db.transaction():
        regions = await _publish_regions(catalogue)
        departments = await _publish_departments(catalogue)
        for entry in catalogue.items:
            outcome = await _publish_item(catalogue, entry.value, author, reason, day)
            if outcome is not None:
                (new if outcome == 1 else changed).append(entry.value.item_code)
    kept.forget()
    return ImportReport(
        regions, departments, tuple(new), tuple(changed), len(catalogue.items) - len(new) - len(changed)
    )


async def withdraw_item(*, item_code: str, author: str, reason: str, on: date | None = None) -> None:
    """Takes an item out of force from a day on (取消、下放收回); cases opened before finish under their version. Raises
    NotFound.
    """
    day = on or clock.today()
    async with db.transaction():
        item = await db.lock(Item, item_code=item_code)
        latest = await ItemVersion.filter(item_id=item.id).order_by("-version").first() if item else None
        if latest is None:
            raise NotFound("没有这个事项")
        if latest.effective_to is not None and latest.effective_to <= day:
            return
        latest.effective_to = max(day, latest.effective_from)
        latest.author, latest.reason = author, reason
        await latest.save(update_fields=["effective_to", "author", "reason"])
    kept.forget()


async def _publish_regions(catalogue: Catalogue) -> int:
    known = {region.code: region for region in await Region.all()}
    names: dict[str, str] = {}
    count = 0
    for entry in catalogue.regions:
        source: RegionSource = entry.value
        code = region_codes.padded(source.code)
        above = region_codes.parent(code)
        names[code] = (names[above] if above else "") + source.name
        values: dict[str, Any] = {
            "name": source.name,
            "full_name": names[code],
            "level": region_codes.level(code),
            "parent_code": above,
            "served": source.served,
            "urban": source.urban,
            "valid_from": source.valid_from,
            "valid_to": source.valid_to,
            "successor_code": region_codes.padded(source.successor) if source.successor else None,
        }
        row = known.get(code)
        if row is None:
            await Region.create(code=code, **values)
            count += 1
        elif any(getattr(row, name) != value for name, value in values.items()):
            await row.update_from_dict(values).save()
            count += 1
    return count


async def _publish_departments(catalogue: Catalogue) -> int:
    known = {row.code: row for row in await Department.all()}
    count = 0
    for entry in catalogue.departments:
        source: DepartmentSource = entry.value
        values: dict[str, Any] = {
            "name": source.name,
            "short_name": source.short_name,
            "region_code": region_codes.padded(source.region),
            "consult_phone": source.consult_phone,
            "complaint_phone": source.complaint_phone,
        }
        row = known.get(source.code)
        if row is None:
            await Department.create(code=source.code, **values)
            count += 1
        elif any(getattr(row, name) != value for name, value in values.items()):
            await row.update_from_dict(values).save()
            count += 1
    return count


async def _publish_item(catalogue: Catalogue, source: ItemSource, author: str, reason: str, day: date) -> int | None:
    """The number of the version that was published, None when nothing differs from the latest one."""
    await db.execute(
        "INSERT INTO catalog_item (item_code, rank, created_at) VALUES (?, ?, ?) ON CONFLICT (item_code) DO NOTHING",
        source.item_code,
        source.rank,
        db.at(clock.now()),
    )
    item = await db.lock(Item, item_code=source.item_code)
    if item is None:
        raise RuntimeError("the item just inserted is gone")
    if item.rank != source.rank:
        item.rank = source.rank
        await item.save(update_fields=["rank"])
    latest = await ItemVersion.filter(item_id=item.id).order_by("-version").first()
    effective_from = source.effective_from or day
    digest = _digest(_guide(catalogue, source, 0, date.min), source)
    if latest is not None and latest.source_hash == digest and latest.effective_to is None:
        return None
    number = latest.version + 1 if latest else 1
    guide = _guide(catalogue, source, number, effective_from)
    if latest is not None and (latest.effective_to is None or latest.effective_to > effective_from):
        latest.effective_to = max(latest.effective_from, effective_from)
        await latest.save(update_fields=["effective_to"])
    await _insert(item, guide, source, digest=digest, author=author, reason=reason)
    return number


async def _insert(item: Item, guide: Guide, source: ItemSource, *, digest: str, author: str, reason: str) -> None:
    body = msgspec.json.encode(guide)
    version = await ItemVersion.create(
        item_id=item.id,
        version=guide.version,
        effective_from=guide.effective_from,
        name=guide.name,
        search_text=_search_text(source),
        audience=guide.audience,
        department_code=guide.department.code,
        region_code=guide.region_code,
        catalog_code=guide.catalog_code,
        task_code=guide.task_code,
        card=msgspec.json.encode(guide_builder.card(guide)).decode(),
        body=body.decode(),
        etag=f'"{hashlib.sha256(body).hexdigest()}"',
        source_hash=digest,
        author=author,
        reason=reason,
    )
    for prefix in source.offered_in or [region_codes.significant(guide.region_code)]:
        await Offer.create(version_id=version.id, prefix=prefix)


def _guide(catalogue: Catalogue, source: ItemSource, version: int, effective_from: date) -> Guide:
    department = catalogue.department(source.department)
    places = [place for key in source.places if (place := catalogue.place(key)) is not None]
    fees = [
        (fee, line.quantity)
        for line in source.fees
        if (fee := catalogue.fee(line.code, max(effective_from, clock.today()))) is not None
    ]
    if department is None:
        raise RuntimeError("files.load must have complained about the department")
    return guide_builder.build(
        source, department, places=places, fees=fees, version=version, effective_from=effective_from
    )


def _digest(guide: Guide, source: ItemSource) -> str:
    """What makes a version differ: the guide without number and date, where it is offered, and how it is found."""
    found_by = [_search_text(source), *sorted(source.offered_in)]
    return hashlib.sha256(msgspec.json.encode([guide, found_by])).hexdigest()


def _search_text(source: ItemSource) -> str:
    words = [source.name, source.main_name, *source.synonyms]
    letters = [pinyin.initials(word)[0] for word in (source.name, *source.synonyms)]
    return "\n".join(normalised(word) for word in (*words, *letters, *source.initials) if word)


def normalised(text: str) -> str:
    """The one form in which names are stored for searching and queries are compared."""
    return "".join(unicodedata.normalize("NFKC", text).lower().split())
