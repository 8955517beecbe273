"""Whether what was handed in is enough: everything missing, unclean or foreign at once (一次性告知).

Pure, no row is read here.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import msgspec

from backend.cases.ports import DeliveryWish
from backend.catalog.views import MaterialRule
from backend.formats import phones
from kernel.problems import FieldError

MAX_PROMISE_DAYS = 60
_NAME_LENGTH = 50
_ADDRESS_LENGTH = 200


class MaterialChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which files are handed in for one requirement."""

    code: str
    material_ids: tuple[str, ...]


class Promise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """容缺: the applicant promises to hand in these materials by a day, and says so."""

    codes: tuple[str, ...]
    until_on: date
    confirmed: bool


class Screened(msgspec.Struct, frozen=True):
    """All faults, and the material codes that a promise covers."""

    errors: tuple[FieldError, ...]
    deferred_codes: tuple[str, ...]


def screen(
    *,
    rules: Sequence[MaterialRule],
    choices: Sequence[MaterialChoice],
    usable: Mapping[str, str],
    promise: Promise | None,
    today: date,
    only: frozenset[str] | None = None,
) -> Screened:
    """Judge the files against the item's rules. `usable` maps the ids of the applicant's own files to their state.

    `only` limits the check of what is missing to some codes (the ones a correction asks for).
    """
    by_code = {rule.code: rule for rule in rules}
    errors = [*_choice_errors(by_code, choices, usable)]
    given = {choice.code for choice in choices if choice.material_ids}
    deferred: list[str] = []
    for rule in rules:
        if rule.code in given or rule.need == "optional" or (only is not None and rule.code not in only):
            continue
        if rule.need == "tolerable" and promise is not None and rule.code in promise.codes:
            deferred.append(rule.code)
        else:
            hint = "，或者承诺稍后补交" if rule.need == "tolerable" else ""
            errors.append(FieldError(f"/materials/{_escaped(rule.code)}", f"请上传“{rule.name}”{hint}"))
    if promise is not None:
        errors += _promise_errors(by_code, promise, today)
    return Screened(tuple(errors), tuple(deferred))


def _choice_errors(
    by_code: Mapping[str, MaterialRule], choices: Sequence[MaterialChoice], usable: Mapping[str, str]
) -> list[FieldError]:
    errors: list[FieldError] = []
    seen: set[str] = set()
    for choice in choices:
        at = f"/materials/{_escaped(choice.code)}"
        rule = by_code.get(choice.code)
        if rule is None:
            errors.append(FieldError(at, "这个事项不需要这份材料，请删除"))
            continue
        if choice.code in seen:
            errors.append(FieldError(at, f"“{rule.name}”列了两次，请合并"))
        seen.add(choice.code)
        if len(choice.material_ids) > rule.max_files:
            errors.append(FieldError(at, f"“{rule.name}”最多上传 {rule.max_files} 张"))
        if len(set(choice.material_ids)) != len(choice.material_ids):
            errors.append(FieldError(at, f"“{rule.name}”里有重复的照片"))
        for index, material_id in enumerate(choice.material_ids):
            if usable.get(material_id) != "clean":
                # The same words for a foreign, a refused and an unknown file: existence is private.
                errors.append(FieldError(f"{at}/{index}", f"“{rule.name}”的照片没有找到或未通过检查，请重新上传"))
    return errors


def _promise_errors(by_code: Mapping[str, MaterialRule], promise: Promise, today: date) -> list[FieldError]:
    errors = []
    for code in promise.codes:
        if code not in by_code or by_code[code].need != "tolerable":
            errors.append(FieldError("/promise/codes", "这份材料不能承诺后补，请现在上传"))
    if not promise.confirmed:
        errors.append(FieldError("/promise/confirmed", "请确认您的容缺承诺"))
    if not today < promise.until_on <= today + timedelta(days=MAX_PROMISE_DAYS):
        errors.append(FieldError("/promise/until_on", f"补交日期应在明天到 {MAX_PROMISE_DAYS} 天之内"))
    return errors


def delivery_errors(*, modes: Sequence[str], wish: DeliveryWish | None) -> list[FieldError]:
    """Faults of the delivery wish; the quote and the address' zone are the delivery slice's to judge."""
    if wish is None:
        return [FieldError("/delivery", "请选择领取方式")] if modes else []
    if wish.way not in modes:
        return [FieldError("/delivery/way", "这个事项不能用这种方式领取，请重新选择")]
    if wish.way == "pickup":
        return []
    errors = []
    if not wish.quote_no:
        errors.append(FieldError("/delivery/quote_no", "请先查询邮寄费用"))
    to = wish.recipient
    if to is None:
        return [*errors, FieldError("/delivery/recipient", "请填写收件人")]
    if not 2 <= len(to.name.strip()) <= _NAME_LENGTH:
        errors.append(FieldError("/delivery/recipient/name", "请填写收件人姓名（2 到 50 个字）"))
    if not phones.is_contact(to.phone):
        errors.append(FieldError("/delivery/recipient/phone", "请填写正确的收件人电话"))
    if not (len(to.region_code) == 12 and to.region_code.isascii() and to.region_code.isdigit()):
        errors.append(FieldError("/delivery/recipient/region_code", "请选择收件人所在的地区"))
    if not 4 <= len(to.address.strip()) <= _ADDRESS_LENGTH:
        errors.append(FieldError("/delivery/recipient/address", "请填写详细的收件地址，到门牌号"))
    return errors


def _escaped(code: str) -> str:
    return code.replace("~", "~0").replace("/", "~1")
