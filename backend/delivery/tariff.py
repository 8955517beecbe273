"""The dated zone table of the courier fee: what sending to a region costs, or why we do not know. No rows, no partners.

Source: the county's published courier fees (mission row M34): city area 4 yuan, townships 6 yuan, Jiuquan 8 yuan, other
provinces by the carrier's own tariff. It prices no other place of the province: refused, not guessed.
"""

import itertools
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from backend.catalog import region_codes
from kernel.problems import FieldError, Problem

REGION_DIGITS = 12
ASK_CARRIER = "ask_carrier"
_PARENT_LENGTHS = (9, 6, 4, 2)
_COUNTY = 6


class ZoneUnknown(Problem):
    """No zone of the table covers the region: no fallback amount, no zero."""

    status, code = 422, "delivery-zone-unknown"
    title = "这个地区的寄送费用还没有公布，窗口工作人员会打电话与您商量领取方式"


class NoTariff(Problem):
    """No table is in force on that day."""

    status, code = 409, "delivery-tariff-missing"
    title = "寄送收费表正在更新，暂时不能约寄，请选择窗口领取或稍后再试"


class TariffError(ValueError):
    """The table itself is wrong; the process must not start with it."""


@dataclass(frozen=True)
class Zone:
    """One line of the table. `amount_fen` is None when the carrier has to be asked."""

    name: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    amount_fen: int | None

    def reach(self, region_code: str) -> int | None:
        """The length of the longest prefix that puts the region into this zone, or None."""
        if any(region_code.startswith(prefix) for prefix in self.exclude):
            return None
        return max((len(prefix) for prefix in self.include if region_code.startswith(prefix)), default=None)


@dataclass(frozen=True)
class ZonePrice:
    """What the table says: fen, or None for "ask the carrier". `table_version` is kept with the quote and the bill."""

    zone: str
    amount_fen: int | None
    table_version: str


@dataclass(frozen=True)
class ZoneTable:
    """One published table and the days it is in force (`valid_to` included; None = until replaced)."""

    document_no: str
    valid_from: date
    valid_to: date | None
    zones: tuple[Zone, ...]

    @property
    def version(self) -> str:
        """Names the table for ever: document and first day."""
        return f"{self.document_no}@{self.valid_from.isoformat()}"

    def in_force(self, on: date) -> bool:
        """Whether the table applies on a day."""
        return self.valid_from <= on and (self.valid_to is None or on <= self.valid_to)

    def price(self, region_code: str) -> ZonePrice:
        """The zone with the longest matching prefix. Raises ZoneUnknown."""
        reached = [(length, zone) for zone in self.zones if (length := zone.reach(region_code)) is not None]
        if not reached:
            own = region_codes.significant(region_code)
            if len(own) == _COUNTY and any(prefix.startswith(own) for zone in self.zones for prefix in zone.include):
                # The prices of this county stand below it.
                advice = "请选择到乡镇或街道"
                raise ZoneUnknown(advice, errors=[FieldError("/region_code", advice)])
            raise ZoneUnknown
        _, zone = max(reached, key=lambda pair: pair[0])
        return ZonePrice(zone.name, zone.amount_fen, self.version)


@dataclass(frozen=True)
class Tariff:
    """All tables, past and coming; at most one is in force on any day."""

    tables: tuple[ZoneTable, ...]

    def price(self, region_code: str, *, on: date) -> ZonePrice:
        """What sending to a 12-digit region costs on a day. Raises NoTariff, ZoneUnknown."""
        for table in self.tables:
            if table.in_force(on):
                return table.price(region_code)
        raise NoTariff


def load(path: Path) -> Tariff:
    """Reads one table, or a list of dated tables, from JSON. Raises TariffError naming what is wrong."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TariffError(f"读不到寄送收费表 {path}：{type(error).__name__}") from None
    return parse(raw)


def parse(raw: Any) -> Tariff:
    """Builds the tariff from decoded JSON: one table object or a list of them. Raises TariffError."""
    documents = raw if isinstance(raw, list) else [raw]
    try:
        tables = tuple(sorted((_table(document) for document in documents), key=lambda table: table.valid_from))
    except (KeyError, TypeError, AttributeError) as error:
        raise TariffError(f"寄送收费表缺少内容或格式不对：{error}") from None
    if not tables:
        raise TariffError("寄送收费表是空的")
    for earlier, later in itertools.pairwise(tables):
        if earlier.valid_to is None or earlier.valid_to >= later.valid_from:
            raise TariffError(f"{earlier.version} 与 {later.version} 的有效期重叠")
    return Tariff(tables)


def _table(document: dict[str, Any]) -> ZoneTable:
    valid_to = document.get("valid_to")
    table = ZoneTable(
        document_no=str(document["document_no"]),
        valid_from=_day(document["valid_from"]),
        valid_to=None if valid_to is None else _day(valid_to),
        zones=tuple(_zone(zone) for zone in document["zones"]),
    )
    if table.valid_to is not None and table.valid_to < table.valid_from:
        raise TariffError(f"{table.version}：有效期的结束早于开始")
    _check_unambiguous(table)
    return table


def _day(text: Any) -> date:
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        raise TariffError(f"日期不对：{text!r}") from None


def _zone(raw: dict[str, Any]) -> Zone:
    name, amount = str(raw["name"]), raw["amount_fen"]
    if amount != ASK_CARRIER and (type(amount) is not int or amount < 0):
        raise TariffError(f"{name}：金额必须是整数分或 {ASK_CARRIER}")
    zone = Zone(
        name=name,
        include=tuple(_prefix(name, prefix) for prefix in raw["include"]),
        exclude=tuple(_prefix(name, prefix) for prefix in raw.get("exclude", ())),
        amount_fen=None if amount == ASK_CARRIER else amount,
    )
    if not zone.include:
        raise TariffError(f"{name}：没有写明地区")
    for prefix in zone.include:
        if any(prefix.startswith(barred) for barred in zone.exclude):
            raise TariffError(f"{name}：地区 {prefix} 同时被排除")
    return zone


def _prefix(zone: str, prefix: str) -> str:
    """A region prefix; a code padded with zeros to 12 digits means everything below it, "" the whole country."""
    if not isinstance(prefix, str) or (prefix and not (prefix.isascii() and prefix.isdigit())):
        raise TariffError(f"{zone}：地区代码不对 {prefix!r}")
    if len(prefix) > REGION_DIGITS:
        raise TariffError(f"{zone}：地区代码过长 {prefix!r}")
    if len(prefix) == REGION_DIGITS:
        for length in _PARENT_LENGTHS:
            if prefix[length:].strip("0"):
                break
            prefix = prefix[:length]
    return prefix


def _check_unambiguous(table: ZoneTable) -> None:
    """Two zones can reach the same region with equal length only by the same prefix."""
    owner: dict[str, str] = {}
    for zone in table.zones:
        for prefix in zone.include:
            if prefix in owner:
                raise TariffError(f"{table.version}：地区 {prefix} 同时属于“{owner[prefix]}”和“{zone.name}”")
            owner[prefix] = zone.name
