"""What the one-window platform remembers and decides: numbers, attachments, cases, versions; no HTTP and no clerk.

Every verb of the sending system ends here. A verb either changes the case in one store transaction or raises `Refusal`.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from sandbox.one_window_catalogue import (
    Findings,
    check_area,
    check_case,
    check_form,
    check_materials,
    choose,
    in_force,
    item_key,
    record,
    record_list,
)
from sandbox.one_window_states import DELIVERED, FROM_CHANNEL, channel_move
from sandbox.one_window_wire import ILLEGAL_TRANSITION, REJECTED, STALE_VERSION, Refusal
from sandbox.store import Doc, Store

BEIJING = timezone(timedelta(hours=8))
MAX_FILE_BYTES = 20 * 1024 * 1024
MAGIC = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG", "application/pdf": b"%PDF-"}
PARCEL_STATES = {
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


def moment(now: datetime) -> str:
    """Business time as the contract writes it: Beijing, no offset."""
    return now.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def rejected(field: str, rule: str) -> Refusal:
    """300 for one field."""
    return Refusal(REJECTED, errors=[{"field": field, "rule": rule}])


def needed_text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value.strip():
        raise rejected(name, "必填")
    return value


def needed_version(data: Mapping[str, Any]) -> int:
    value = data.get("dataVersion")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise rejected("dataVersion", "应为正整数")
    return value


class Desk:
    """The platform's books, kept in the partner's store; files lie beside the database."""

    def __init__(self, store: Store, files: Path, now: Callable[[], datetime]) -> None:
        self.store = store
        self.files = files
        self.now = now
        files.mkdir(parents=True, exist_ok=True, mode=0o700)

    # -- items and numbers -------------------------------------------------------------------------------------

    def items(self) -> list[Doc]:
        """Every version of every item that was taught."""
        return self.store.all("item")

    def teach(self, item: Doc) -> None:
        self.store.put("item", item_key(item), item, "taught")

    def task(self, data: Doc) -> Doc:
        """Verb `task.get`."""
        version, handle = data.get("taskVersion"), data.get("taskHandleItem")
        asked = None if version in (None, "") else str(version)
        return choose(self.items(), needed_text(data, "taskCode"), asked, handle if isinstance(handle, str) else None)

    def serial(self, data: Doc) -> Doc:
        """Verb `serial.new`: the same clientRef always has the same number."""
        task_code, area_code = needed_text(data, "taskCode"), needed_text(data, "areaCode")
        client_ref = needed_text(data, "clientRef")
        known = self.store.get("reference", client_ref)
        if known is not None:
            if (known["taskCode"], known["areaCode"]) != (task_code, area_code):
                raise rejected("clientRef", "已用于其他事项或区划")
            return {"projectNo": known["projectNo"], "duplicate": True}
        check_area(choose(self.items(), task_code, None), area_code)
        day = self.now().astimezone(BEIJING).strftime("%y%m%d")
        # Not the shape of the sender's own numbers: whoever parses a projectNo shall notice here.
        number = f"{area_code[:6]}-{day}W{self.store.next_number('project'):07d}"
        with self.store.transaction():
            self.store.put(
                "reference", client_ref, {"projectNo": number, "taskCode": task_code, "areaCode": area_code}, "created"
            )
            self.store.put("case", number, _new_case(number, client_ref, task_code, area_code), "created")
        return {"projectNo": number}

    def case(self, data: Mapping[str, Any]) -> Doc:
        """The case a verb names; an unknown number is 300."""
        found = self.store.get("case", needed_text(data, "projectNo"))
        if found is None:
            raise rejected("projectNo", "办件编号不存在")
        return found

    # -- attachments -------------------------------------------------------------------------------------------

    def put_attachment(self, fields: Doc, content: bytes) -> Doc:
        """Verb `attach.put`: same content in the same case, same attachId; a lost file comes back under it."""
        case = self.case(fields)
        name, mime = needed_text(fields, "name"), needed_text(fields, "mime")
        sha256 = hashlib.sha256(content).hexdigest()
        if needed_text(fields, "sha256") != sha256:
            raise rejected("sha256", "与文件内容不一致")
        if mime not in MAGIC or not content.startswith(MAGIC[mime]):
            raise rejected("mime", "文件类型不支持或与内容不一致")
        if len(name) > 120 or "/" in name or "\\" in name:
            raise rejected("name", "文件名不合规")
        number = case["projectNo"]
        known = self.store.get("attachment_hash", f"{number}:{sha256}")
        duplicate = known is not None
        attach_id = known["attachId"] if known else "F" + secrets.token_hex(12)
        self.save_file(attach_id, number, name=name, mime=mime, content=content, material=fields.get("materialId"))
        return {"attachId": attach_id, "duplicate": duplicate}

    def save_file(
        self, attach_id: str, number: str, *, name: str, mime: str, content: bytes, material: str | None = None
    ) -> None:
        sha256 = hashlib.sha256(content).hexdigest()
        doc = {
            "attachId": attach_id,
            "projectNo": number,
            "materialId": material,
            "name": name,
            "mime": mime,
            "sha256": sha256,
            "bytes": len(content),
        }
        (self.files / attach_id).write_bytes(content)
        with self.store.transaction():
            self.store.put("attachment", attach_id, doc, "stored")
            self.store.put("attachment_hash", f"{number}:{sha256}", {"attachId": attach_id})

    def has_attachment(self, number: str, attach_id: str) -> bool:
        found = self.store.get("attachment", attach_id)
        return found is not None and found["projectNo"] == number

    def attachment(self, attach_id: str) -> tuple[Doc, bytes]:
        """Verb `attach.get`."""
        found = self.store.get("attachment", attach_id)
        if found is None:
            raise rejected("attachId", "附件不存在")
        return found, (self.files / attach_id).read_bytes()

    def lose_attachments(self, number: str) -> int:
        """A wild day: the store forgets the files of a case, so that the next push is 305."""
        lost = [doc["attachId"] for doc in self.store.all("attachment") if doc["projectNo"] == number]
        for attach_id in lost:
            self.store.delete("attachment", attach_id)
        return len(lost)

    # -- the case ----------------------------------------------------------------------------------------------

    def push(self, data: Doc, digest: str) -> Doc:
        """Verb `case.push`: first version (I), later ones (U), or void (D)."""
        base = record(data, "base")
        case = self.case(base)
        version, operation = needed_version(data), data.get("cdOperation")
        if operation not in ("I", "U", "D"):
            raise rejected("cdOperation", "只能是 I、U、D")
        if repeated := _repeated(case, "case.push", version, digest):
            return repeated
        if (operation == "I") != (case["dataVersion"] == 0):
            raise rejected("cdOperation", "首次推送用 I，之后用 U 或 D")
        target = channel_move("case.withdraw" if operation == "D" else "case.push", case["state"])
        self._check_push(case, data, operation)
        case.update(state=target, body=data)
        return self._keep(case, "case.push", version, digest)

    def _check_push(self, case: Doc, data: Doc, operation: str) -> None:
        base, number = record(data, "base"), case["projectNo"]
        if base.get("taskCode") != case["taskCode"] or base.get("areaCode") != case["areaCode"]:
            raise rejected("base.taskCode", "与取号时的事项或区划不一致")
        version = str(base.get("taskVersion"))
        pick = in_force if operation == "I" else choose
        item = pick(self.items(), case["taskCode"], version, base.get("taskHandleItem"))
        check_area(item, case["areaCode"])
        check_case(data, item, has_attachment=lambda attach_id: self.has_attachment(number, attach_id))

    def supplement(self, data: Doc, digest: str) -> Doc:
        """Verb `case.supplement`: answers the open correction, all of it."""
        case = self.case(data)
        version = needed_version(data)
        if repeated := _repeated(case, "case.supplement", version, digest):
            return repeated
        target = channel_move("case.supplement", case["state"])
        asked = case["corrections"][-1]
        if data.get("correctionNo") != asked["no"]:
            raise rejected("correctionNo", "不是当前的补正")
        pushed = case["body"]["base"]
        item = choose(self.items(), case["taskCode"], str(pushed["taskVersion"]), pushed.get("taskHandleItem"))
        self._check_supplement(case, data, item, asked)
        case["supplements"].append(data)
        case["state"] = target
        return self._keep(case, "case.supplement", version, digest)

    def _check_supplement(self, case: Doc, data: Doc, item: Doc, asked: Doc) -> None:
        number, findings, materials = case["projectNo"], Findings(), record_list(data, "materials")
        check_materials(
            materials,
            case["body"],
            item,
            findings,
            has_attachment=lambda attach_id: self.has_attachment(number, attach_id),
            whole=False,
        )
        given = {str(material.get("materialId")) for material in materials}
        wanted = [entry["materialId"] for entry in asked["materials"] if entry.get("materialId")]
        findings.missing.extend({"materialId": key} for key in wanted if key not in given)
        if record_list(data, "form"):
            check_form(record_list(data, "form"), item, findings)
        findings.close()

    def withdraw(self, data: Doc, digest: str) -> Doc:
        """Verb `case.withdraw`."""
        case = self.case(data)
        version = needed_version(data)
        if repeated := _repeated(case, "case.withdraw", version, digest):
            return repeated
        target = channel_move("case.withdraw", case["state"])
        case.update(state=target, withdrawal=needed_text(data, "reason"))
        return self._keep(case, "case.withdraw", version, digest)

    def _keep(self, case: Doc, verb: str, version: int, digest: str) -> Doc:
        case["dataVersion"] = version
        case["digests"][str(version)] = {"verb": verb, "digest": digest}
        self.store.put("case", case["projectNo"], case, verb)
        return _answer(case)

    def delivery(self, data: Doc, digest: str) -> Doc:
        """Verb `delivery.push`: where the parcel is; only after the decision for outgoing papers."""
        case = self.case(data)
        if digest in case["deliveries"]:
            return {"state": case["state"], "duplicate": True}
        direction = data.get("direction")
        if direction not in ("IN", "OUT"):
            raise rejected("direction", "只能是 IN 或 OUT")
        entry = {name: needed_text(data, name) for name in ("carrier", "waybillNo")}
        events = record_list(data, "events")
        if not events or any(event.get("canonical") not in PARCEL_STATES for event in events):
            raise rejected("events", "为空或状态不在代码表内")
        for event in events:
            needed_text(event, "at")
        if direction == "OUT":
            target = channel_move("delivery.push", case["state"])
            arrived = any(event["canonical"] == "DELIVERED" for event in events)
            case["state"] = DELIVERED if arrived else target
        case["deliveries"][digest] = {**entry, "direction": direction, "events": events, "proof": data.get("proof")}
        self.store.put("case", case["projectNo"], case, "delivery.push")
        return {"state": case["state"]}


def _new_case(number: str, client_ref: str, task_code: str, area_code: str) -> Doc:
    return {
        "projectNo": number,
        "clientRef": client_ref,
        "taskCode": task_code,
        "areaCode": area_code,
        "state": "DRAFT",
        "dataVersion": 0,
        "digests": {},
        "body": None,
        "accepted": False,
        "archived": False,
        "corrections": [],
        "supplements": [],
        "deliveries": {},
        "result": None,
        "seq": 0,
        "script": None,
    }


def _answer(case: Doc) -> Doc:
    return {"projectNo": case["projectNo"], "dataVersion": case["dataVersion"], "state": case["state"]}


def _repeated(case: Doc, verb: str, version: int, digest: str) -> Doc | None:
    """The idempotency key (projectNo, dataVersion, digest): same bytes repeat, other bytes or a gap are 303."""
    known = case["digests"].get(str(version))
    if known is not None and known == {"verb": verb, "digest": digest}:
        return {**_answer(case), "duplicate": True}
    if version != case["dataVersion"] + 1:
        raise Refusal(STALE_VERSION, currentVersion=case["dataVersion"])
    if verb != "case.push" and (verb, case["state"]) not in FROM_CHANNEL:
        # Said before the content is looked at: the sender may be told that its goal is already reached.
        raise Refusal(ILLEGAL_TRANSITION, state=case["state"])
    return None
