"""Reading a whole folder of catalogue files and checking everything across them; nothing is written before all of
it is right.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from backend.catalog import form_shorthand, forms, lint, pinyin, region_codes, task_code
from backend.catalog.source import (
    Complaint,
    DepartmentSource,
    Entry,
    FeeItemSource,
    ItemSource,
    PlaceSource,
    RegionSource,
    read,
)
from backend.formats import uscc


@dataclass
class Catalogue:
    """The entries of a folder, still with the place each came from."""

    regions: list[Entry] = field(default_factory=list)
    departments: list[Entry] = field(default_factory=list)
    places: list[Entry] = field(default_factory=list)
    fees: list[Entry] = field(default_factory=list)
    items: list[Entry] = field(default_factory=list)

    def department(self, key: str) -> DepartmentSource | None:
        """A department by the key items use."""
        return next((e.value for e in self.departments if e.value.key == key), None)

    def place(self, key: str) -> PlaceSource | None:
        """A window by the key items use."""
        return next((e.value for e in self.places if e.value.key == key), None)

    def fee(self, code: str, on: date) -> FeeItemSource | None:
        """An approved charge that is in force on a day."""
        for entry in self.fees:
            fee: FeeItemSource = entry.value
            if fee.code == code and fee.valid_from <= on and (fee.valid_to is None or on <= fee.valid_to):
                return fee
        return None


def load(folder: Path, *, on: date) -> tuple[Catalogue, list[Complaint]]:
    """Everything in `folder` (regions, departments, places, fees, items/*.toml) and every complaint about it,
    sorted by place.
    """
    catalogue, complaints = Catalogue(), []
    for name, table, shape in (
        ("regions", "region", RegionSource),
        ("departments", "department", DepartmentSource),
        ("places", "place", PlaceSource),
        ("fees", "fee", FeeItemSource),
    ):
        entries, faults = read(folder / f"{name}.toml", table, shape)
        getattr(catalogue, name).extend(entries)
        complaints += faults
    for path in sorted((folder / "items").glob("*.toml")):
        entries, faults = read(path, "item", ItemSource)
        catalogue.items += entries
        complaints += faults
    complaints += _check(catalogue, on)
    return catalogue, sorted(complaints)


def _check(catalogue: Catalogue, on: date) -> Iterator[Complaint]:
    yield from _regions(catalogue)
    yield from _departments(catalogue)
    for entry in catalogue.places:
        place: PlaceSource = entry.value
        for name, message in lint.place_faults(
            address=place.address, hours=place.hours, phone=place.phone, region=place.region
        ):
            yield entry.complain(name, message)
    yield from _fees(catalogue)
    for name, entries in (("key", catalogue.departments), ("key", catalogue.places), ("item_code", catalogue.items)):
        yield from _unique(entries, name)
    for entry in catalogue.items:
        yield from _item(catalogue, entry, on)
    yield from _same_code_same_words(catalogue.items)


def _unique(entries: list[Entry], name: str) -> Iterator[Complaint]:
    seen: dict[str, Entry] = {}
    for entry in entries:
        value = getattr(entry.value, name)
        if value in seen:
            yield entry.complain(name, f"{value} 与 {seen[value].file} 第 {seen[value].row} 行重复")
        seen.setdefault(value, entry)


def _regions(catalogue: Catalogue) -> Iterator[Complaint]:
    known: set[str] = set()
    for entry in catalogue.regions:
        region: RegionSource = entry.value
        try:
            code = region_codes.padded(region.code)
        except ValueError:
            yield entry.complain("code", "区划代码应为 2、4、6、9 或 12 位数字")
            continue
        if code in known:
            yield entry.complain("code", f"{code} 重复")
        above = region_codes.parent(code)
        if above is not None and above not in known:
            yield entry.complain("code", f"上级 {above} 没有写在它前面")
        known.add(code)


def _departments(catalogue: Catalogue) -> Iterator[Complaint]:
    for entry in catalogue.departments:
        department: DepartmentSource = entry.value
        verdict = uscc.check(department.code)
        for message in (*verdict.faults, *verdict.warnings):
            yield entry.complain("code", message)


def _fees(catalogue: Catalogue) -> Iterator[Complaint]:
    for entry in catalogue.fees:
        fee: FeeItemSource = entry.value
        if uscc.check(fee.unit_code).faults:
            yield entry.complain("unit_code", "执收单位应写正确的统一社会信用代码")
        if fee.price_fen < 1 or fee.max_quantity < 1:
            yield entry.complain("price_fen", "价格和最大数量都应大于 0")
        for name in ("basis", "approval_no", "name"):
            if (problem := lint.filler(getattr(fee, name))) is not None:
                yield entry.complain(name, problem)


def _item(catalogue: Catalogue, entry: Entry, on: date) -> Iterator[Complaint]:
    item: ItemSource = entry.value
    department = catalogue.department(item.department)
    if department is None:
        yield entry.complain("department", f"departments.toml 里没有 {item.department}")
        return
    if item.task_type not in task_code.TASK_TYPES:
        yield entry.complain("task_type", f"事项类型只能是 {'、'.join(task_code.TASK_TYPES)}")
    for message in task_code.faults(
        item.task_code, department_code=department.code, level=item.level, catalog_code=item.catalog_code
    ):
        yield entry.complain("task_code", message)
    consult = item.consult_phone or department.consult_phone
    complaint = item.complaint_phone or department.complaint_phone
    for name, message in lint.faults(item, consult_phone=consult, complaint_phone=complaint):
        yield entry.complain(name, message)
    yield from _references(catalogue, entry, department, on)
    yield from _form(entry)


def _references(catalogue: Catalogue, entry: Entry, department: DepartmentSource, on: date) -> Iterator[Complaint]:
    item: ItemSource = entry.value
    for key in item.places:
        if catalogue.place(key) is None:
            yield entry.complain("places", f"places.toml 里没有 {key}")
    for line in item.fees:
        fee = catalogue.fee(line.code, item.effective_from or on)
        if fee is None:
            yield entry.complain("fees", f"收费清单里没有生效的 {line.code}，清单之外不得收费")
        elif fee.unit_code != department.code:
            yield entry.complain("fees", f"{line.code} 的执收单位不是 {department.name}")
        elif line.quantity > fee.max_quantity:
            yield entry.complain("fees", f"{line.code} 最多 {fee.max_quantity} {fee.charge_unit}")
    known = {region_codes.significant(region_codes.padded(e.value.code)) for e in catalogue.regions}
    for prefix in item.offered_in:
        if prefix not in known:
            yield entry.complain("offered_in", f"regions.toml 里没有 {prefix}")
    unread = pinyin.initials(item.name)[1]
    if unread and not item.initials:
        yield entry.complain("initials", f"“{''.join(unread)}”查不到拼音，请在 initials 里写出全名的拼音首字母")


def _form(entry: Entry) -> Iterator[Complaint]:
    item: ItemSource = entry.value
    if not item.form:
        if "mobile" in item.ways or "online" in item.ways:
            yield entry.complain("form", "能在网上或手机办的事项要有表单")
        return
    for error in forms.check_schema(form_shorthand.schema(item.form)):
        yield entry.complain(f"form{error.pointer}", error.message)


def _same_code_same_words(items: list[Entry]) -> Iterator[Complaint]:
    """同一事项、同一名称、同一标准、同一编码 (M03): one basic code has one main name, one type and one legal basis."""
    first: dict[str, Entry] = {}
    for entry in items:
        other = first.setdefault(entry.value.catalog_code, entry)
        for name, words in (("main_name", "主项名称"), ("task_type", "事项类型"), ("legal_basis", "设定依据")):
            if getattr(entry.value, name) != getattr(other.value, name):
                yield entry.complain(
                    name, f"基本编码 {entry.value.catalog_code} 的{words}与 {other.file} 第 {other.row} 行不同"
                )
