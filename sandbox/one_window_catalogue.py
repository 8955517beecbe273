"""The platform's item catalogue with versions, and the rules a pushed case must keep; no storage, no HTTP.

Items come from a JSON file or are taught openly through `/_control/tasks`; an item nobody taught is unknown (304).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.one_window_wire import (
    ATTACHMENT_MISSING,
    NO_PERMISSION,
    OBSOLETE_ITEM,
    REJECTED,
    Refusal,
)

ITEM_DEFAULTS: dict[str, Any] = {
    "taskHandleItems": [],
    "projectType": "2",
    "promiseDay": 5,
    "promiseType": "W",
    "legalDay": 20,
    "materials": [],
    "form": [],
    "fees": [],
    "isExpress": "1",
    "isPayOnline": "1",
    "limitSceneNum": 0,
    "taskState": "1",
    # Ours, not on the wire of the province: six-digit (or longer) prefixes of the areas this item is open in.
    "areaScope": [],
}
ID_CARD_TYPES = {"10", "111", "身份证", "居民身份证"}
ID_SHAPE = re.compile(r"[0-9]{17}[0-9X]")
MOBILE_SHAPE = re.compile(r"1[0-9]{10}")
DATE_SHAPE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
MOMENT_SHAPE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
AREA_SHAPE = re.compile(r"[0-9]{12}")
GET_TYPES = {"electronic", "paper", "licence", "mail", "deferred"}
CHANNELS = {"0", "1", "2", "3", "4", "9"}


class ItemError(ValueError):
    """A taught item lacks something it needs."""


def checked_item(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Fill defaults and refuse an item without its identity; unknown members are kept."""
    item = {**ITEM_DEFAULTS, **raw}
    for name in ("taskCode", "taskVersion", "taskName", "catalogCode"):
        if not item.get(name):
            raise ItemError(f"事项缺少 {name}")
    item["taskCode"] = str(item["taskCode"])
    item["taskVersion"] = str(item["taskVersion"])
    return item


def item_key(item: Mapping[str, Any]) -> str:
    """One task code (实施编码) may have several handling items (业务办理项), each with materials and versions of its own."""
    return f"{item['taskCode']}:{','.join(map(str, item['taskHandleItems']))}:{item['taskVersion']}"


def choose(
    items: Sequence[dict[str, Any]], task_code: str, version: str | None, handle: str | None = None
) -> dict[str, Any]:
    """The item in force, or the asked version of it; a code nobody taught or an obsolete version is 304."""
    known = [
        item
        for item in items
        if item["taskCode"] == task_code
        and (handle is None or not item["taskHandleItems"] or handle in item["taskHandleItems"])
    ]
    current = max(
        (item for item in known if item["taskState"] == "1"), key=lambda item: _order(item["taskVersion"]), default=None
    )
    if version is None:
        if current is None:
            raise Refusal(OBSOLETE_ITEM, "事项不存在或已停用", currentVersion=None)
        return current
    for item in known:
        if item["taskVersion"] == version:
            return item
    raise Refusal(OBSOLETE_ITEM, currentVersion=current["taskVersion"] if current else None)


def _order(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdigit() else (0, version)


def in_force(
    items: Sequence[dict[str, Any]], task_code: str, version: str, handle: str | None = None
) -> dict[str, Any]:
    """The version a new case must name: exactly the one in force."""
    current = choose(items, task_code, None, handle)
    if current["taskVersion"] != version:
        raise Refusal(OBSOLETE_ITEM, currentVersion=current["taskVersion"])
    return current


def check_area(item: Mapping[str, Any], area_code: str) -> None:
    scope: Iterable[str] = item["areaScope"]
    if scope and not any(area_code.startswith(prefix) for prefix in scope):
        raise Refusal(NO_PERMISSION, "该事项不在此区划办理", areaCode=area_code)


def id_number_ok(text: str) -> bool:
    """GB 11643 check character; unassigned province prefixes pass, they mark invented people."""
    if not ID_SHAPE.fullmatch(text):
        return False
    weights = [pow(2, 17 - index, 11) for index in range(17)]
    total = sum(int(digit) * weight for digit, weight in zip(text, weights, strict=False))
    return "10X98765432"[total % 11] == text[17]


@dataclass
class Findings:
    """Every broken rule at once, as a clerk would want to read them."""

    errors: list[dict[str, str]] = field(default_factory=list)
    missing: list[dict[str, str]] = field(default_factory=list)

    def error(self, path: str, rule: str) -> None:
        self.errors.append({"field": path, "rule": rule})

    def text(self, record: Mapping[str, Any], path: str, *, shape: re.Pattern[str] | None = None) -> str:
        value = record.get(path.rsplit(".", 1)[-1])
        if not isinstance(value, str) or not value.strip():
            self.error(path, "必填")
            return ""
        if shape is not None and not shape.fullmatch(value):
            self.error(path, "格式不正确")
        return value

    def close(self) -> None:
        if self.errors:
            raise Refusal(REJECTED, errors=self.errors)
        if self.missing:
            raise Refusal(ATTACHMENT_MISSING, missing=self.missing)


def check_case(case: Mapping[str, Any], item: Mapping[str, Any], *, has_attachment: Callable[[str], bool]) -> None:
    """The whole rule engine of `case.push`: people, materials, form, post."""
    findings = Findings()
    _check_base(case, item, findings)
    _check_people(case, findings)
    check_materials(record_list(case, "materials"), case, item, findings, has_attachment=has_attachment, whole=True)
    check_form(record_list(case, "form"), item, findings)
    _check_post(case, item, findings)
    findings.close()


def record(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, Mapping) else {}


def record_list(parent: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = parent.get(name)
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _check_base(case: Mapping[str, Any], item: Mapping[str, Any], findings: Findings) -> None:
    base = record(case, "base")
    for name in ("taskName", "projectName", "orgCode", "orgName", "applyType"):
        findings.text(base, f"base.{name}")
    findings.text(base, "base.areaCode", shape=AREA_SHAPE)
    findings.text(base, "base.applyDate", shape=MOMENT_SHAPE)
    if findings.text(base, "base.catalogCode") not in ("", item["catalogCode"]):
        findings.error("base.catalogCode", "与事项不一致")
    if findings.text(base, "base.projectType") not in ("", str(item["projectType"])):
        findings.error("base.projectType", "与事项不一致")
    if findings.text(base, "base.channel") not in CHANNELS | {""}:
        findings.error("base.channel", "不在代码表内")
    password = base.get("projPwd")
    if password is not None and not re.fullmatch(r"[0-9]{6}", str(password)):
        findings.error("base.projPwd", "应为 6 位数字")


def _check_people(case: Mapping[str, Any], findings: Findings) -> None:
    applicant, contact = record(case, "applicant"), record(case, "contact")
    findings.text(applicant, "applicant.applyerName")
    if findings.text(applicant, "applicant.applyerType") not in ("", "1", "2", "3"):
        findings.error("applicant.applyerType", "不在代码表内")
    kind = findings.text(applicant, "applicant.applyerPageType")
    number = findings.text(applicant, "applicant.applyerPageCode")
    if kind in ID_CARD_TYPES and number and not id_number_ok(number):
        findings.error("applicant.applyerPageCode", "身份证号校验位不正确")
    findings.text(applicant, "applicant.mobile", shape=MOBILE_SHAPE)
    findings.text(contact, "contact.contactName")
    findings.text(contact, "contact.contactMobile", shape=MOBILE_SHAPE)
    agent = case.get("agent")
    if agent is not None:
        agent = agent if isinstance(agent, Mapping) else {}
        for name in ("name", "pageType", "pageCode", "mobile", "authorityAttachId"):
            findings.text(agent, f"agent.{name}")


def check_materials(
    materials: list[Mapping[str, Any]],
    case: Mapping[str, Any],
    item: Mapping[str, Any],
    findings: Findings,
    *,
    has_attachment: Callable[[str], bool],
    whole: bool,
) -> None:
    """`whole` = a complete case, where every required material must be there; a supplement brings only some."""
    rules = {str(rule["materialId"]): rule for rule in item["materials"]}
    given: set[str] = set()
    for index, material in enumerate(materials):
        path = f"materials[{index}]"
        material_id = findings.text(material, f"{path}.materialId")
        if material_id and material_id not in rules:
            findings.error(f"{path}.materialId", "事项中没有此材料")
            continue
        given.add(material_id)
        _check_material(
            path,
            material=material,
            rule=rules.get(material_id, {}),
            case=case,
            findings=findings,
            has_attachment=has_attachment,
        )
    if whole:
        findings.missing.extend(
            {"materialId": key} for key, rule in rules.items() if str(rule["isNeed"]) == "1" and key not in given
        )


def _check_material(
    path: str,
    *,
    material: Mapping[str, Any],
    rule: Mapping[str, Any],
    case: Mapping[str, Any],
    findings: Findings,
    has_attachment: Callable[[str], bool],
) -> None:
    way = material.get("getType")
    if way not in GET_TYPES:
        findings.error(f"{path}.getType", "不在代码表内")
    attach_ids = material.get("attachIds")
    if not isinstance(attach_ids, list) or not all(isinstance(entry, str) for entry in attach_ids):
        findings.error(f"{path}.attachIds", "应为附件编号列表")
        return
    if way == "deferred":
        if str(rule.get("isNeed")) != "2" or not record(case, "flags").get("tolerance"):
            findings.error(f"{path}.getType", "此材料不可容缺")
        findings.text(material, f"{path}.promiseDate", shape=DATE_SHAPE)
    if way in ("electronic", "deferred") and not attach_ids:
        findings.missing.append({"materialId": str(material.get("materialId"))})
    findings.missing.extend(
        {"materialId": str(material.get("materialId")), "attachId": entry}
        for entry in attach_ids
        if not has_attachment(entry)
    )


def check_form(form: list[Mapping[str, Any]], item: Mapping[str, Any], findings: Findings) -> None:
    values = {str(entry.get("name")): entry.get("value") for entry in form}
    for rule in item["form"]:
        value = values.get(str(rule["name"]))
        path = f"form.{rule['name']}"
        if value in (None, "", []):
            if rule.get("required"):
                findings.error(path, "必填")
        elif rule.get("options") and value not in rule["options"]:
            findings.error(path, "不在选项内")


def _check_post(case: Mapping[str, Any], item: Mapping[str, Any], findings: Findings) -> None:
    post = record(case, "post")
    way = post.get("way")
    if way not in ("self", "mail"):
        findings.error("post.way", "不在代码表内")
    if way != "mail":
        return
    if str(item["isExpress"]) != "1":
        findings.error("post.way", "该事项不支持寄送")
    addressee = record(post, "addressee")
    for name in ("name", "regionCode", "address"):
        findings.text(addressee, f"post.addressee.{name}")
    findings.text(addressee, "post.addressee.mobile", shape=MOBILE_SHAPE)
