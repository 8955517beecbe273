"""From a clerk's item to the guide phones get: labels, prices and places filled in, the form's schema built. Pure,
no database.
"""

from datetime import date
from typing import Any

from backend.catalog import form_shorthand, region_codes, task_code
from backend.catalog.source import DepartmentSource, FeeItemSource, ItemSource, MaterialSource, PlaceSource
from backend.catalog.views import (
    Audience,
    DepartmentView,
    FaqView,
    FeeLine,
    FeeView,
    Guide,
    ItemCard,
    MaterialRule,
    PlaceView,
    ResultView,
    StepView,
)

_AUDIENCE_LABELS: dict[Audience, str] = {"person": "个人", "enterprise": "企业和单位", "both": "个人、企业和单位"}
_WAY_LABELS = {"window": "窗口办理", "online": "网上办理", "mobile": "手机办理", "mail": "邮寄办理"}
_DELIVERY_LABELS = {"pickup": "到窗口领取", "mail": "快递到家"}
# The levels of assurance are identity's; here only their words on a guide.
_ASSURANCE_LABELS = {0: "不需要实名", 1: "需要验证手机号", 2: "需要实名认证", 3: "需要刷脸核验"}


def build(
    item: ItemSource,
    department: DepartmentSource,
    *,
    places: list[PlaceSource],
    fees: list[tuple[FeeItemSource, int]],
    version: int,
    effective_from: date,
) -> Guide:
    """The guide of one version."""
    # What a clerk wrote is taken over field by field: Guide and ItemSource use the same names for it.
    same: dict[str, Any] = {name: getattr(item, name) for name in _TAKEN_OVER}
    lists: dict[str, Any] = {
        name: tuple(getattr(item, name)) for name in ("conditions", "ways", "notices", "legal_basis")
    }
    return Guide(
        version=version,
        effective_from=effective_from,
        department=DepartmentView(code=department.code, name=department.name),
        region_code=region_codes.padded(department.region),
        materials=tuple(_material(material) for material in item.materials),
        steps=tuple(StepView(name=s.name, who=s.who, hours=s.hours, standard=s.standard) for s in item.steps),
        fee=_fee(item, fees),
        results=tuple(ResultView(name=r.name, kind=r.kind, note=r.note) for r in item.results),
        delivery_modes=tuple(item.delivery),
        places=tuple(_place(place) for place in places),
        consult_phone=item.consult_phone or department.consult_phone,
        complaint_phone=item.complaint_phone or department.complaint_phone,
        faqs=tuple(FaqView(question=f.q, answer=f.a) for f in item.faqs),
        form=form_shorthand.schema(item.form),
        apply_online=_apply_online(item),
        **_labels(item),
        **lists,
        **same,
    )


_TAKEN_OVER = (
    "item_code", "name", "summary", "main_name", "catalog_code", "task_code", "handle_code", "task_type", "level",
    "audience", "theme", "project_type", "legal_days", "promise_days", "visits", "visits_reason", "online_depth",
    "assurance_level", "pay_before_forward", "tacit_consent",
)  # fmt: skip


def _labels(item: ItemSource) -> dict[str, Any]:
    """The Chinese words beside the codes."""
    return {
        "task_type_label": task_code.TASK_TYPES[item.task_type],
        "level_label": task_code.LEVELS[item.level],
        "audience_label": _AUDIENCE_LABELS[item.audience],
        "project_type_label": "即办件" if item.project_type == "instant" else "承诺件",
        "legal_limit_label": f"{item.legal_days} 个工作日",
        "promise_limit_label": _promise(item),
        "visits_label": _visits(item),
        "ways_label": "、".join(_WAY_LABELS[way] for way in item.ways),
        "assurance_label": _ASSURANCE_LABELS[item.assurance_level],
        "delivery_label": "、".join(_DELIVERY_LABELS[mode] for mode in item.delivery) or "结果发到手机，不用领取",
    }


def card(guide: Guide) -> ItemCard:
    """The guide's line in a list."""
    return ItemCard(
        item_code=guide.item_code,
        name=guide.name,
        department_name=guide.department.name,
        audience=guide.audience,
        theme=guide.theme,
        project_type_label=guide.project_type_label,
        promise_limit_label=guide.promise_limit_label,
        visits_label=guide.visits_label,
        fee_label=guide.fee.summary,
        apply_online=guide.apply_online,
    )


def _apply_online(item: ItemSource) -> bool:
    return bool(item.form) and ("mobile" in item.ways or "online" in item.ways)


def _promise(item: ItemSource) -> str:
    if item.project_type == "promised":
        return f"{item.promise_days} 个工作日"
    return "当场办结"


def _visits(item: ItemSource) -> str:
    return "零跑腿" if item.visits == 0 else f"最多跑 {item.visits} 次"


def _material(material: MaterialSource) -> MaterialRule:
    return MaterialRule(
        code=material.code,
        name=material.name,
        need=material.need,
        kind=material.kind,
        source=material.source,
        purpose_text=material.purpose,
        how_text=material.how,
        max_files=material.max_files,
        sample_text=material.sample,
        condition_text=material.condition,
    )


def _fee(item: ItemSource, fees: list[tuple[FeeItemSource, int]]) -> FeeView:
    if not fees:
        return FeeView(charged=False, summary=item.fee_note or "不收费")
    lines = tuple(
        FeeLine(
            fee_code=fee.code,
            name=fee.name,
            unit_name=fee.charge_unit,
            price_fen=fee.price_fen,
            quantity=quantity,
            basis=fee.basis,
        )
        for fee, quantity in fees
    )
    total = sum(line.price_fen * line.quantity for line in lines)
    return FeeView(
        charged=True,
        summary=f"{_yuan(total)} 元",
        lines=lines,
        relief=item.fee_relief or next((fee.relief for fee, _ in fees if fee.relief), None),
        pay_online=item.pay_online,
    )


def _yuan(fen: int) -> str:
    yuan, rest = divmod(fen, 100)
    return f"{yuan}" if rest == 0 else f"{yuan}.{rest:02d}"


def _place(place: PlaceSource) -> PlaceView:
    code = region_codes.padded(place.region)
    return PlaceView(
        code=place.key,
        name=place.name,
        address=place.address,
        hours=place.hours,
        phone=place.phone,
        region_code=code,
        level_label=region_codes.LEVEL_LABELS[region_codes.level(code)],
    )
