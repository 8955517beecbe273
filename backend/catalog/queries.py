"""Reads of the catalogue: regions, lists, guides as prebuilt bytes, and the version a case freezes. Raw SQL where
phones wait for it.
"""

import base64
import binascii
import hashlib
from collections import OrderedDict
from datetime import date
from typing import Any

import msgspec

from backend.catalog import kept, region_codes
from backend.catalog.importer import normalised
from backend.catalog.views import Guide, ItemVersion, Prebuilt, RegionView, version_of
from kernel import clock, db
from kernel.problems import Conflict, FieldError, Invalid, NotFound

_DEFAULT_LIMIT, _LARGEST_LIMIT = 20, 100
_LONGEST_QUERY = 50
_KEPT = 512

# Versions never change once published, therefore what is cached by version id can never be stale.
_bodies: OrderedDict[int, Prebuilt] = OrderedDict()
_versions: OrderedDict[int, ItemVersion] = OrderedDict()


class ItemNotOpen(Conflict):
    """The item is not in force today, or is not offered in that region (清单之外无审批)."""

    code, title = "item-not-open", "这个事项现在不能在您选择的地区办理"


async def regions(*, parent: str | None, served: bool = False) -> tuple[RegionView, ...]:
    """The places below `parent`; without it the provinces, or with `served` the counties this service belongs to."""
    values: list[Any] = []
    if parent is not None:
        where = "r.parent_code = ?"
        values.append(_code(parent))
    else:
        where = "r.level = 'county'" if served else "r.level = 'province'"
    if served:
        where += " AND r.served = ?"
        values.append(True)
    rows = await db.fetch(f"{_REGIONS} WHERE {where} {_VALID} ORDER BY r.code", *values, *_today2())
    return tuple(_region(row) for row in rows)


async def region(code: str) -> RegionView:
    """One place, also a retired one: old cases keep their code. Raises NotFound."""
    rows = await db.fetch(f"{_REGIONS} WHERE r.code = ?", _code(code))
    if not rows:
        raise NotFound("没有这个地区")
    return _region(rows[0])


async def department_name(code: str) -> str | None:
    """The full name of a department by its unified social credit code; None for anybody else's code."""
    rows = await db.fetch("SELECT name FROM catalog_department WHERE code = ?", code)
    return str(rows[0]["name"]) if rows else None


async def items_page(
    *,
    region_code: str | None = None,
    q: str | None = None,
    audience: str | None = None,
    cursor: str | None = None,
    limit: int = _DEFAULT_LIMIT,
) -> Prebuilt:
    """One page of the items in force, as the bytes of an ItemsPage with its ETag. `q` searches names, synonyms and
    pinyin initials. What it says may be some seconds old.
    """
    asked = (region_code, q, audience, cursor, limit)
    if q is not None:  # what people type is endless: it would only push out what everybody reads
        return await _items_page(*asked)
    return await kept.page(asked, lambda: _items_page(*asked))


def items_page_at_hand(
    *, region_code: str | None, q: str | None, audience: str | None, cursor: str | None, limit: int
) -> Prebuilt | None:
    """What `items_page` would answer, if this process knows it without asking anybody."""
    return kept.at_hand((region_code, q, audience, cursor, limit))


async def _items_page(
    region_code: str | None, q: str | None, audience: str | None, cursor: str | None, limit: int
) -> Prebuilt:
    where, values = _filters(region_code, q, audience, cursor)
    limit = min(max(limit, 1), _LARGEST_LIMIT)
    rows = await db.fetch(
        "SELECT v.card, i.rank, i.item_code FROM catalog_item i JOIN catalog_item_version v ON v.item_id = i.id "
        f"WHERE v.effective_from <= ? AND (v.effective_to IS NULL OR v.effective_to > ?) {where} "
        "ORDER BY i.rank, i.item_code LIMIT ?",
        *_today2(),
        *values,
        limit + 1,
    )
    more = len(rows) > limit
    page = rows[:limit]
    next_cursor = _cursor(page[-1]) if more else None
    cards = ",".join(row["card"] for row in page)
    body = f'{{"items":[{cards}],"next_cursor":{msgspec.json.encode(next_cursor).decode()}}}'.encode()
    return Prebuilt(body=body, etag=f'"{hashlib.sha256(body).hexdigest()}"')


_NO_ITEM = "没有这个事项，或现在已经不办理"


async def guide(*, item_code: str) -> Prebuilt:
    """The guide of the version in force, as bytes of a Guide with its ETag; some seconds old at most. Raises NotFound."""
    return await kept.page(item_code, lambda: _guide(item_code))


def guide_at_hand(*, item_code: str) -> Prebuilt | None:
    """What `guide` would answer, if this process knows it without asking anybody."""
    return kept.at_hand(item_code)


async def _guide(item_code: str) -> Prebuilt:
    version_id = await _version_in_force(item_code)
    if version_id is None:
        raise NotFound(_NO_ITEM)
    return await _body(version_id)


async def version(version_id: int) -> ItemVersion:
    """A version by its number, whether still in force or not: cases finish under the version they were opened
    with. Raises NotFound.
    """
    known = _versions.get(version_id)
    if known is None:
        body = (await _body(version_id)).body
        known = version_of(msgspec.json.decode(body, type=Guide), version_id)
        _remember(_versions, version_id, known)
    return known


async def current(*, item_code: str, region_code: str) -> ItemVersion:
    """The version a new case in that region gets. Raises NotFound for an unknown item, ItemNotOpen."""
    prefixes = region_codes.prefixes(_code(region_code))
    places = ", ".join("?" for _ in prefixes)
    version_id = await _version_in_force(
        item_code,
        f"AND EXISTS (SELECT 1 FROM catalog_offer o WHERE o.version_id = v.id AND o.prefix IN ({places}))",
        *prefixes,
    )
    if version_id is None:
        if not await db.records("SELECT 1 FROM catalog_item WHERE item_code = ?", item_code):
            raise NotFound(_NO_ITEM)
        raise ItemNotOpen
    return await version(version_id)


_REGIONS = (
    "SELECT r.code, r.name, r.full_name, r.level, r.parent_code, r.served, r.urban, "
    "CASE WHEN EXISTS (SELECT 1 FROM catalog_region c WHERE c.parent_code = r.code) THEN 1 ELSE 0 END AS has_children "
    "FROM catalog_region r"
)
_VALID = "AND r.valid_from <= ? AND (r.valid_to IS NULL OR r.valid_to >= ?)"


def _region(row: dict[str, Any]) -> RegionView:
    flags = {name: bool(row[name]) for name in ("served", "urban", "has_children")}
    return RegionView(**(row | flags))


def _today2() -> tuple[Any, Any]:
    return (day := _day(clock.today())), day


def _day(value: date) -> Any:
    return value.isoformat() if db.engine() == "sqlite" else value


def _code(text: str) -> str:
    try:
        return region_codes.padded(text)
    except ValueError:
        raise Invalid(errors=[FieldError("/region_code", "区划代码应为 6、9 或 12 位数字")]) from None


def _filters(region_code: str | None, q: str | None, audience: str | None, cursor: str | None) -> tuple[str, list[Any]]:
    where: list[str] = []
    values: list[Any] = []
    if region_code is not None:
        prefixes = region_codes.prefixes(_code(region_code))
        places = ", ".join("?" for _ in prefixes)
        where.append(f"AND EXISTS (SELECT 1 FROM catalog_offer o WHERE o.version_id = v.id AND o.prefix IN ({places}))")
        values += prefixes
    if audience is not None:
        if audience not in ("person", "enterprise"):
            raise Invalid(errors=[FieldError("/audience", "服务对象只能是 person 或 enterprise")])
        where.append("AND v.audience IN (?, 'both')")
        values.append(audience)
    if q and (words := normalised(q[:_LONGEST_QUERY])):
        escaped = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        where.append("AND v.search_text LIKE ? ESCAPE '\\'")
        values.append(f"%{escaped}%")
    if cursor is not None:
        rank, code = _position(cursor)
        where.append("AND (i.rank > ? OR (i.rank = ? AND i.item_code > ?))")
        values += [rank, rank, code]
    return " ".join(where), values


def _cursor(row: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(f"{row['rank']}|{row['item_code']}".encode()).decode().rstrip("=")


def _position(cursor: str) -> tuple[int, str]:
    try:
        rank, _, code = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition("|")
        return int(rank), code
    except (ValueError, binascii.Error):
        raise Invalid(errors=[FieldError("/cursor", "翻页标记不对，请从第一页重新查看")]) from None


async def _version_in_force(item_code: str, extra: str = "", *values: Any) -> int | None:
    rows = await db.fetch(
        "SELECT v.id FROM catalog_item i JOIN catalog_item_version v ON v.item_id = i.id "
        f"WHERE i.item_code = ? AND v.effective_from <= ? AND (v.effective_to IS NULL OR v.effective_to > ?) {extra} "
        "ORDER BY v.version DESC LIMIT 1",
        item_code,
        *_today2(),
        *values,
    )
    return int(rows[0]["id"]) if rows else None


async def _body(version_id: int) -> Prebuilt:
    known = _bodies.get(version_id)
    if known is None:
        rows = await db.fetch("SELECT body, etag FROM catalog_item_version WHERE id = ?", version_id)
        if not rows:
            raise NotFound("没有这个事项版本")
        known = Prebuilt(body=rows[0]["body"].encode(), etag=rows[0]["etag"])
        _remember(_bodies, version_id, known)
    return known


def _remember(cache: OrderedDict[int, Any], version_id: int, value: Any) -> None:
    cache[version_id] = value
    while len(cache) > _KEPT:
        cache.popitem(last=False)


def forget_cached() -> None:
    """Empties the process's cache; only for tests that change databases under it."""
    kept.forget()
    _bodies.clear()
    _versions.clear()
