"""What a guide must and must not say before it may be published; every rule is explained in docs/catalogue.md.
Pure functions.
"""

import re
from collections.abc import Iterator

from backend.catalog import region_codes
from backend.catalog.source import ItemSource
from backend.formats import phones

# L11: words that pretend to inform. Each of them sends a person to a window to ask.
_FILLERS = (
    "按规定",
    "按照规定",
    "依规定",
    "详见",
    "附后",
    "相关材料",
    "有关材料",
    "相关证明",
    "其他材料",
    "其它材料",
    "视情况",
    "待定",
    "符合条件",
    "符合规定",
    "法律法规规定的其他",
    "等等",
    "请咨询",
)
_WHOLE_FILLERS = {"无", "其他", "其它", "空", "略", "/", "-", "同上"}
_HOURS = re.compile(r"工作日|全天|24 ?小时|节假日|周[一二三四五六日]")
_WINDOW = re.compile(r"\d+ ?号|[A-Z]\d+|窗口|室|服务台")
_AREA_CODE = re.compile(r"0\d{2,3}-\d{7,8}")
_STEP_NAMES = {"受理", "审核", "审批", "办结", "送达"}
_HOURS_PER_DAY = 8
_MOST_MATERIALS = 20
_DEEPEST_ONLINE = 4


def faults(item: ItemSource, *, consult_phone: str, complaint_phone: str) -> Iterator[tuple[str, str]]:
    """Everything that forbids publishing an item, as (field, message)."""
    yield from _limits(item)
    yield from _results(item)
    yield from _visits(item)
    yield from _fees(item)
    yield from _phones(consult_phone, complaint_phone)
    yield from _audience(item)
    yield from _steps(item)
    yield from _lists(item)
    for field, text in _texts(item):
        if (problem := filler(text)) is not None:
            yield field, problem


def place_faults(*, address: str, hours: str, phone: str, region: str) -> Iterator[tuple[str, str]]:
    """What is wrong with a window (L07)."""
    if not _HOURS.search(hours):
        yield "hours", "L07 办公时间要写明工作日、周几或全天"
    if not _WINDOW.search(address):
        yield "address", "L07 地址要写到窗口号或房间"
    if not phones.is_contact(phone):
        yield "phone", "电话应带区号"
    try:
        region_codes.padded(region)
    except ValueError:
        yield "region", "区划代码应为 6、9 或 12 位数字"


def filler(text: str) -> str | None:
    """Why a text tells nothing (L11), or None when it does."""
    bare = text.strip().strip("。；;，,、.")
    if len(bare) < 2 or bare in _WHOLE_FILLERS:
        return "L11 这句话没有内容"
    for words in _FILLERS:
        if words in text:
            return f"L11 “{words}”等于没说，请写出具体内容"
    return None


def _limits(item: ItemSource) -> Iterator[tuple[str, str]]:
    instant = item.project_type == "instant"
    if instant != (item.promise_days == 0):
        yield "promise_days", "L01 即办件的承诺时限写 0，承诺件大于 0"
    if instant != (item.review_type == "即审即办"):
        yield "review_type", "L01 即办件是“即审即办”，承诺件是“前审后批”"
    if item.legal_days < 1:
        yield "legal_days", "法定时限至少 1 个工作日"
    elif item.promise_days >= item.legal_days and not instant:
        yield "promise_days", f"承诺时限应短于法定时限 {item.legal_days} 个工作日"


def _results(item: ItemSource) -> Iterator[tuple[str, str]]:
    if not item.results:
        yield "results", "L02 要写明办完拿到什么"
    for index, result in enumerate(item.results):
        is_certificate = result.name.endswith("证") or "证书" in result.name
        if is_certificate and not re.search(r"凭证|证明", result.name) and result.kind != "出证办结":
            yield f"results[{index}].kind", "L02 结果是证件的，办结方式应为“出证办结”"
        if re.search(r"批复|批文", result.name) and result.kind != "审批办结":
            yield f"results[{index}].kind", "L02 结果是批复的，办结方式应为“审批办结”"


def _visits(item: ItemSource) -> Iterator[tuple[str, str]]:
    if item.visits > 0 and not item.visits_reason:
        yield "visits_reason", "L03 需要到现场的，要说明原因"
    if item.visits == 0 and item.visits_reason:
        yield "visits_reason", "L03 不需要到现场的，不应写原因"
    online = "online" in item.ways or "mobile" in item.ways
    if item.visits == 0 and not online and "mail" not in item.ways:
        yield "ways", "L04 不用到现场又不能网上办的，应能邮寄申请"
    if not 1 <= item.online_depth <= _DEEPEST_ONLINE:
        yield "online_depth", "网办深度为 1 至 4"
    elif item.online_depth == _DEEPEST_ONLINE and item.visits != 0:
        yield "visits", "L04 全程网办（Ⅳ级）的到现场次数应为 0"
    elif item.online_depth >= 3 and not online:
        yield "ways", "网办深度三级以上的，办理形式应包含网上或手机"


def _fees(item: ItemSource) -> Iterator[tuple[str, str]]:
    if item.fees and not item.pay_online:
        yield "pay_online", "L05 收费事项要写明能否网上缴费；本系统的收费都可网上缴"
    if not item.fees and item.pay_online:
        yield "pay_online", "L05 不收费的事项不能写网上缴费"
    if not item.fees and item.pay_before_forward:
        yield "pay_before_forward", "L05 不收费的事项没有先缴费后转办"
    if any(fee.quantity < 1 for fee in item.fees):
        yield "fees", "L05 收费数量至少为 1"


def _phones(consult: str, complaint: str) -> Iterator[tuple[str, str]]:
    if not _AREA_CODE.fullmatch(consult):
        yield "consult_phone", "L06 咨询电话要带区号，例如 0937-0000101"
    if not _AREA_CODE.fullmatch(complaint):
        yield "complaint_phone", "L06 投诉电话要带区号，例如 0937-3212345"
    if consult == complaint:
        yield "complaint_phone", "L06 投诉电话不能和咨询电话相同"


def _audience(item: ItemSource) -> Iterator[tuple[str, str]]:
    legal_themes = ("企业开办", "准营准办", "企业")
    is_legal = item.theme.startswith(legal_themes)
    if (item.audience == "person" and is_legal) or (item.audience == "enterprise" and not is_legal):
        yield "theme", "L08 主题分类与服务对象不一致"


def _steps(item: ItemSource) -> Iterator[tuple[str, str]]:
    if not item.steps:
        yield "steps", "L09 要写明办理环节"
        return
    if item.project_type == "promised" and not {step.name for step in item.steps} >= _STEP_NAMES:
        yield "steps", "L09 承诺件的环节应包含受理、审核、审批、办结、送达"
    # Handing over the result happens after the clock has stopped.
    counted = sum(step.hours for step in item.steps if step.name != "送达")
    limit = item.promise_days * _HOURS_PER_DAY if item.project_type == "promised" else _HOURS_PER_DAY
    if counted > limit:
        yield "steps", f"L09 各环节共 {counted:g} 小时，超过承诺的 {limit} 小时"


def _lists(item: ItemSource) -> Iterator[tuple[str, str]]:
    for name in ("conditions", "materials", "places", "legal_basis", "faqs", "ways"):
        if not getattr(item, name):
            yield name, "L10 不能空着"
    if len(item.materials) > _MOST_MATERIALS:
        yield "materials", f"材料超过 {_MOST_MATERIALS} 份，请先精简"
    codes = [material.code for material in item.materials]
    if len(set(codes)) != len(codes):
        yield "materials", "材料代码重复"


def _texts(item: ItemSource) -> Iterator[tuple[str, str]]:
    for name in ("name", "main_name", "summary", "visits_reason", "fee_note", "fee_relief"):
        if (text := getattr(item, name)) is not None:
            yield name, text
    for name in ("conditions", "notices", "legal_basis"):
        for index, text in enumerate(getattr(item, name)):
            yield f"{name}[{index}]", text
    for index, material in enumerate(item.materials):
        for name in ("name", "purpose", "how", "source", "sample", "condition"):
            if (text := getattr(material, name)) is not None:
                yield f"materials[{index}].{name}", text
    for index, step in enumerate(item.steps):
        yield f"steps[{index}].standard", step.standard
        yield f"steps[{index}].who", step.who
    for index, result in enumerate(item.results):
        yield f"results[{index}].note", result.note
    for index, faq in enumerate(item.faqs):
        yield f"faqs[{index}].q", faq.q
        yield f"faqs[{index}].a", faq.a
