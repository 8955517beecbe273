"""The shape of the checked-in catalogue files (TOML) and reading them with every fault named by file, row and
field. No database.
"""

import re
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from backend.catalog.form_shorthand import FieldSource
from backend.catalog.views import Audience, DeliveryMode, Need

T = TypeVar("T")


@dataclass(frozen=True, order=True)
class Complaint:
    """One fault of a file: where it is and what to do, in Chinese. `row` is the line on which the entry begins."""

    file: str
    row: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.file} 第 {self.row} 行 {self.field}：{self.message}"


class RegionSource(msgspec.Struct, forbid_unknown_fields=True):
    """One line of regions.toml."""

    code: str
    name: str
    valid_from: date
    served: bool = False
    urban: bool = False
    valid_to: date | None = None
    successor: str | None = None


class DepartmentSource(msgspec.Struct, forbid_unknown_fields=True):
    """One department; `key` is how items name it."""

    key: str
    code: str
    name: str
    short_name: str
    region: str
    consult_phone: str
    complaint_phone: str


class PlaceSource(msgspec.Struct, forbid_unknown_fields=True):
    """One window; `key` is how items name it."""

    key: str
    name: str
    address: str
    hours: str
    phone: str
    region: str


class FeeItemSource(msgspec.Struct, forbid_unknown_fields=True):
    """One approved charge of the public price list (收费清单)."""

    code: str
    unit_code: str
    unit_name: str
    kind: Literal["administrative", "delivery"]
    name: str
    charge_unit: str
    price_fen: int
    basis: str
    approval_no: str
    valid_from: date
    valid_to: date | None = None
    max_quantity: int = 1
    relief: str | None = None


class MaterialSource(msgspec.Struct, forbid_unknown_fields=True):
    """One material of an item."""

    code: str
    name: str
    purpose: str
    how: str
    need: Need = "required"
    kind: Literal["photo", "scan", "document"] = "photo"
    source: str = "本人准备"
    max_files: int = 1
    sample: str | None = None
    condition: str | None = None


class StepSource(msgspec.Struct, forbid_unknown_fields=True):
    """One step of handling, in working hours."""

    name: str
    who: str
    hours: float
    standard: str


class ResultSource(msgspec.Struct, forbid_unknown_fields=True):
    """One result."""

    name: str
    kind: str
    note: str


class FaqSource(msgspec.Struct, forbid_unknown_fields=True):
    """One question and its answer."""

    q: str
    a: str


class FeeSource(msgspec.Struct, forbid_unknown_fields=True):
    """One charge of an item: a code of the price list and how many units."""

    code: str
    quantity: int = 1


class ItemSource(msgspec.Struct, forbid_unknown_fields=True):
    """One item as a clerk writes it."""

    item_code: str
    name: str
    main_name: str
    summary: str
    department: str
    catalog_code: str
    task_code: str
    task_type: str
    audience: Audience
    theme: str
    project_type: Literal["instant", "promised"]
    review_type: Literal["即审即办", "前审后批"]
    legal_days: int
    promise_days: int
    visits: int
    online_depth: int
    ways: list[Literal["window", "online", "mobile", "mail"]]
    conditions: list[str]
    materials: list[MaterialSource]
    steps: list[StepSource]
    results: list[ResultSource]
    places: list[str]
    legal_basis: list[str]
    faqs: list[FaqSource]
    form: list[FieldSource]
    rank: int = 500
    level: str = "4"
    handle_code: str | None = None
    synonyms: list[str] = []
    initials: list[str] = []
    visits_reason: str | None = None
    assurance_level: int = 2
    fees: list[FeeSource] = []
    fee_note: str | None = None
    fee_relief: str | None = None
    pay_online: bool = False
    pay_before_forward: bool = False
    delivery: list[DeliveryMode] = []
    tacit_consent: bool = False
    notices: list[str] = []
    offered_in: list[str] = []
    consult_phone: str | None = None
    complaint_phone: str | None = None
    effective_from: date | None = None


@dataclass(frozen=True)
class Entry:
    """One entry of a file together with where it stands, so that every later complaint can name the place."""

    file: str
    row: int
    value: Any

    def complain(self, field: str, message: str) -> Complaint:
        """A complaint about this entry."""
        return Complaint(self.file, self.row, field, message)


def read(path: Path, table: str, shape: type[T]) -> tuple[list[Entry], list[Complaint]]:
    """The entries `[[table]]` of a TOML file, each checked by itself: one bad entry does not hide the others'
    faults.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return [], [Complaint(path.name, _line_of(str(error)), "", f"文件读不懂：{_reason(error)}")]
    complaints = [Complaint(path.name, 1, name, "文件里不应有这一节") for name in sorted(set(document) - {table})]
    rows = _rows(text, table)
    entries: list[Entry] = []
    for index, raw in enumerate(document.get(table, [])):
        row = rows[index] if index < len(rows) else 1
        try:
            entries.append(Entry(path.name, row, msgspec.convert(raw, shape)))
        except msgspec.ValidationError as error:
            field, message = _explained(str(error))
            complaints.append(Complaint(path.name, row, field, message))
    return entries, complaints


def _rows(text: str, table: str) -> list[int]:
    header = re.compile(rf"\s*\[\[\s*{re.escape(table)}\s*\]\]")
    return [number for number, line in enumerate(text.splitlines(), start=1) if header.match(line)]


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "打不开"
    return "不是 UTF-8 文字" if isinstance(error, UnicodeDecodeError) else str(error)


def _line_of(text: str) -> int:
    found = re.search(r"line (\d+)", text)
    return int(found[1]) if found else 1


def _explained(text: str) -> tuple[str, str]:
    """msgspec's English sentence as field and Chinese message; it never holds the value itself."""
    where = re.search(r" - at `\$\.?(.*)`$", text)
    field = where[1] if where else ""
    if missing := re.search(r"missing required field `(.+?)`", text):
        return _joined(field, missing[1]), "没有填写"
    if unknown := re.search(r"unknown field `(.+?)`", text):
        return _joined(field, unknown[1]), "没有这样的栏目名，请检查拼写"
    if expected := re.search(r"Expected `(.+?)`, got `(.+?)`", text):
        return field, f"应为 {expected[1]}，现在是 {expected[2]}"
    return field, "内容不在允许的范围内"


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
