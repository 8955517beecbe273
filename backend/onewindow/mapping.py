"""Our words into the words of YCSL-REF v1: the bodies of case.push, case.supplement and delivery.push. Pure.

Names are the national ones in camelCase; optional members are left out when there is nothing to say.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from backend.cases.ports import CasePackage, PackageMaterial
from backend.catalog.views import ItemVersion
from backend.formats.identity_number import IdType
from backend.onewindow.ports import ParcelReport
from kernel import clock

PROJECT_TYPES = {"instant": "1", "promised": "2"}
APPLY_ONLINE = "2"
CHANNEL_MINI_PROGRAM = "3"
PERSON = "1"
# 证件类型 of the reference contract (GA/T 517 numbers).
PAGE_TYPES = {
    IdType.RESIDENT_ID.value: "111",
    IdType.HMT_PERMIT.value: "154",
    IdType.FOREIGN_PERMANENT.value: "553",
}
PARCEL_WORDS = frozenset(
    {
        "BOOKED",
        "ASSIGNED",
        "PICKED_UP",
        "IN_TRANSIT",
        "OUT_FOR_DELIVERY",
        "ATTEMPT_FAILED",
        "HELD",
        "DELIVERED",
        "REFUSED",
        "RETURNING",
        "RETURNED",
        "LOST",
        "CANCELLED",
    }
)
_SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "application/pdf": "pdf"}


def moment(instant: datetime) -> str:
    """Business time on the wire: Beijing, without an offset."""
    return clock.local(instant).strftime("%Y-%m-%d %H:%M:%S")


def file_name(material: PackageMaterial) -> str:
    """A name of our own making: what a person called the file never leaves us."""
    return f"{material.code}.{_SUFFIXES.get(material.mime, 'bin')}"


def case_push(
    package: CasePackage,
    item: ItemVersion,
    *,
    project_no: str,
    wire_version: int,
    attach_ids: Mapping[str, str],
) -> dict[str, Any]:
    """The whole case; `attach_ids` names the platform's attachment of each material."""
    return {
        "cdOperation": "I" if wire_version == 1 else "U",
        "dataVersion": wire_version,
        "base": _base(package, item, project_no),
        "applicant": _applicant(package),
        "contact": {
            "contactName": package.applicant.name,
            "contactType": _page_type(package.applicant.id_type),
            "contactCode": package.applicant.id_number,
            "contactMobile": package.applicant.phone,
        },
        "agent": None,
        "materials": materials(package, item, attach_ids=attach_ids),
        "form": form(package.form, item.form_schema),
        "post": _post(package),
        "flags": {"tolerance": bool(package.deferred_codes), "assisted": False},
        "ext": {"clientRef": package.case_no},
    }


def _base(package: CasePackage, item: ItemVersion, project_no: str) -> dict[str, Any]:
    base: dict[str, Any] = {
        "projectNo": project_no,
        "taskCode": item.task_code,
        "taskVersion": str(item.version),
        "taskName": item.name,
        "catalogCode": item.catalog_code,
        "localTaskCode": item.local_code,
        "projectName": f"{package.applicant.name}{item.name}",
        "projectType": PROJECT_TYPES[item.project_type],
        "applyType": APPLY_ONLINE,
        "applyDate": moment(package.submitted_at),
        "areaCode": package.region_code,
        "orgCode": item.department_code,
        "orgName": item.department_name,
        "channel": CHANNEL_MINI_PROGRAM,
    }
    if item.handle_code:
        base["taskHandleItem"] = item.handle_code
    return base


def _applicant(package: CasePackage) -> dict[str, Any]:
    applicant: dict[str, Any] = {
        "applyerName": package.applicant.name,
        "applyerType": PERSON,
        "applyerPageType": _page_type(package.applicant.id_type),
        "applyerPageCode": package.applicant.id_number,
        "mobile": package.applicant.phone,
    }
    if package.delivery and package.delivery.recipient:
        applicant["address"] = package.delivery.recipient.address
    return applicant


def _page_type(id_type: str) -> str:
    return PAGE_TYPES.get(id_type, id_type)


def materials(
    package: CasePackage, item: ItemVersion, *, attach_ids: Mapping[str, str], only: frozenset[str] | None = None
) -> list[dict[str, Any]]:
    """One entry per requirement with all its files; `only` restricts to the asked codes of a correction."""
    names = {rule.code: rule.name for rule in item.materials}
    grouped: dict[str, list[PackageMaterial]] = {}
    for material in package.materials:
        if only is None or material.code in only:
            grouped.setdefault(material.code, []).append(material)
    entries = [_entry(code, names.get(code, files[0].name), files, attach_ids) for code, files in grouped.items()]
    if only is None:
        entries.extend(_deferred(package, code, names.get(code, code)) for code in package.deferred_codes)
    return entries


def _entry(code: str, name: str, files: Sequence[PackageMaterial], attach_ids: Mapping[str, str]) -> dict[str, Any]:
    return {
        "materialId": code,
        "materialName": name,
        "getType": "electronic",
        "getNum": len(files),
        "attachIds": [attach_ids[file.material_id] for file in files],
    }


def _deferred(package: CasePackage, code: str, name: str) -> dict[str, Any]:
    """容缺: promised for later. The promise itself is a material of its own."""
    promised = package.deferred_until_on
    return {
        "materialId": code,
        "materialName": name,
        "getType": "deferred",
        "getNum": 0,
        "attachIds": [],
        "promiseDate": promised.isoformat() if promised else "",
    }


def form(values: Mapping[str, object], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The filled form; values that are not plain travel as JSON text."""
    known = schema.get("properties")
    properties: Mapping[str, Any] = known if isinstance(known, dict) else {}
    return [
        {"name": name, "nameCn": str(properties.get(name, {}).get("title", name)), "value": _text(value)}
        for name, value in values.items()
        if value is not None
    ]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) else msgspec.json.encode(value).decode()


def _post(package: CasePackage) -> dict[str, Any]:
    wish = package.delivery
    if wish is None or wish.way != "mail" or wish.recipient is None:
        return {"way": "self", "inWay": "window", "addressee": None}
    recipient = wish.recipient
    return {
        "way": "mail",
        "inWay": "window",
        "addressee": {
            "name": recipient.name,
            "mobile": recipient.phone,
            "regionCode": recipient.region_code,
            "address": recipient.address,
        },
    }


def supplement(
    package: CasePackage,
    item: ItemVersion,
    *,
    project_no: str,
    wire_version: int,
    correction_no: int,
    attach_ids: Mapping[str, str],
) -> dict[str, Any]:
    """The answer to a correction: the materials that were handed in anew, and the form as it is now."""
    asked = frozenset(package.correction.codes) if package.correction else frozenset()
    return {
        "projectNo": project_no,
        "dataVersion": wire_version,
        "correctionNo": correction_no,
        "materials": materials(package, item, attach_ids=attach_ids, only=asked or None),
        "form": form(package.form, item.form_schema),
    }


def withdraw(*, project_no: str, wire_version: int, reason: str) -> dict[str, Any]:
    """撤回 by the applicant."""
    return {"projectNo": project_no, "dataVersion": wire_version, "reason": reason or "申请人撤回"}


def delivery(report: ParcelReport, *, project_no: str) -> dict[str, Any] | None:
    """Where the parcel with the result is; None while nothing happened that the contract has a word for.

    A carrier's “signed” is not among the words: only our own confirmed hand-over is DELIVERED.
    """
    steps = [step for step in report.steps if step.canonical in PARCEL_WORDS]
    if not steps:
        return None
    body: dict[str, Any] = {
        "projectNo": project_no,
        "direction": "OUT",
        "carrier": report.carrier,
        "waybillNo": report.waybill_no,
        "events": [
            {"canonical": step.canonical, "at": step.at, "place": step.place, "text": step.text} for step in steps
        ],
    }
    if report.proof:
        body["proof"] = report.proof
    return body
