"""What others get to see of the catalogue: the guide as phones get it, cards for lists, regions, and a version as
cases freeze it.
"""

from datetime import date
from typing import Any, Literal

import msgspec

Need = Literal["required", "optional", "tolerable"]
DeliveryMode = Literal["pickup", "mail"]
Audience = Literal["person", "enterprise", "both"]


class RegionView(msgspec.Struct, frozen=True, kw_only=True):
    """A place. `has_children` tells the chooser whether to go on."""

    code: str
    name: str
    full_name: str
    level: str
    parent_code: str | None
    served: bool
    urban: bool
    has_children: bool = False


class MaterialRule(msgspec.Struct, frozen=True, kw_only=True):
    """One material of an item. `tolerable` (容缺) may follow later on a written promise."""

    code: str
    name: str
    need: Need
    kind: Literal["photo", "scan", "document"]
    source: str
    purpose_text: str
    how_text: str
    max_files: int
    sample_text: str | None = None
    condition_text: str | None = None


class FeeLine(msgspec.Struct, frozen=True, kw_only=True):
    """One charge of an item. The price is the one of the list on the day of import; the bill takes the price of
    its own day.
    """

    fee_code: str
    name: str
    unit_name: str
    price_fen: int
    quantity: int
    basis: str


class FeeView(msgspec.Struct, frozen=True, kw_only=True):
    """What an item costs."""

    charged: bool
    summary: str
    lines: tuple[FeeLine, ...] = ()
    relief: str | None = None
    pay_online: bool = False


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """One step of handling. `hours` are working hours; the sum stays within the promised limit (lint L09)."""

    name: str
    who: str
    hours: float
    standard: str


class ResultView(msgspec.Struct, frozen=True, kw_only=True):
    """What comes out."""

    name: str
    kind: str
    note: str


class PlaceView(msgspec.Struct, frozen=True, kw_only=True):
    """Where one can go: exact to the window."""

    code: str
    name: str
    address: str
    hours: str
    phone: str
    region_code: str
    level_label: str


class FaqView(msgspec.Struct, frozen=True, kw_only=True):
    """A question people really ask."""

    question: str
    answer: str


class DepartmentView(msgspec.Struct, frozen=True, kw_only=True):
    """Who decides."""

    code: str
    name: str


class Guide(msgspec.Struct, frozen=True, kw_only=True):
    """The guide of one version (服务指南), exactly as phones get it."""

    item_code: str
    version: int
    effective_from: date
    name: str
    summary: str
    main_name: str
    catalog_code: str
    task_code: str
    handle_code: str | None
    task_type: str
    task_type_label: str
    level: str
    level_label: str
    department: DepartmentView
    region_code: str
    audience: Audience
    audience_label: str
    theme: str
    project_type: Literal["instant", "promised"]
    project_type_label: str
    legal_days: int
    promise_days: int
    legal_limit_label: str
    promise_limit_label: str
    visits: int
    visits_label: str
    visits_reason: str | None
    online_depth: int
    apply_online: bool
    ways: tuple[str, ...]
    ways_label: str
    assurance_level: int
    assurance_label: str
    conditions: tuple[str, ...]
    materials: tuple[MaterialRule, ...]
    steps: tuple[StepView, ...]
    fee: FeeView
    pay_before_forward: bool
    results: tuple[ResultView, ...]
    delivery_modes: tuple[DeliveryMode, ...]
    delivery_label: str
    places: tuple[PlaceView, ...]
    consult_phone: str
    complaint_phone: str
    tacit_consent: bool
    notices: tuple[str, ...]
    faqs: tuple[FaqView, ...]
    legal_basis: tuple[str, ...]
    form: dict[str, Any]


class ItemCard(msgspec.Struct, frozen=True, kw_only=True):
    """An item in a list: enough to choose, nothing to read."""

    item_code: str
    name: str
    department_name: str
    audience: Audience
    theme: str
    project_type_label: str
    promise_limit_label: str
    visits_label: str
    fee_label: str
    apply_online: bool


class ItemsPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of items; `next_cursor` is None on the last."""

    items: tuple[ItemCard, ...]
    next_cursor: str | None


class Prebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """An answer whose bytes were made when the version was published, with its strong ETag (quotes included)."""

    body: bytes
    etag: str


class ItemVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version as a case freezes it: every rule that decides about the case, and nothing that may still change."""

    version_id: int
    item_code: str
    version: int
    name: str
    catalog_code: str
    task_code: str
    handle_code: str | None
    local_code: str
    task_type: str
    department_code: str
    department_name: str
    region_code: str
    audience: Audience
    project_type: Literal["instant", "promised"]
    promise_days: int
    legal_days: int
    assurance_level: int
    apply_online: bool
    pay_before_forward: bool
    fee_lines: tuple[FeeLine, ...]
    materials: tuple[MaterialRule, ...]
    form_schema: dict[str, Any]
    delivery_modes: tuple[DeliveryMode, ...]
    tacit_consent: bool
    results: tuple[ResultView, ...]
    places: tuple[PlaceView, ...]
    notices: tuple[str, ...]
    consult_phone: str
    complaint_phone: str


def version_of(guide: Guide, version_id: int) -> ItemVersion:
    """The frozen rules of a guide."""
    names = {name for name in ItemVersion.__struct_fields__ if name in Guide.__struct_fields__}
    return ItemVersion(
        version_id=version_id,
        local_code=guide.item_code,
        department_code=guide.department.code,
        department_name=guide.department.name,
        fee_lines=guide.fee.lines,
        form_schema=guide.form,
        **{name: getattr(guide, name) for name in names},
    )
