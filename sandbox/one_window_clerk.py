"""The window clerk of the sandbox: receives, asks, accepts, decides, issues; by hand or by script."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sandbox.callbacks import Callback
from sandbox.control import ControlError
from sandbox.one_window_desk import BEIJING, Desk, moment
from sandbox.one_window_events import Events
from sandbox.one_window_papers import JPEG_MIME, PDF_MIME, certificate_jpeg, certificate_pdf, seal_of
from sandbox.one_window_states import CLERK, CORRECTION, REASON_NEEDED, RESULT_CODES, clerk_move
from sandbox.one_window_wire import Refusal
from sandbox.store import Doc

KIND = "clerk"
NAME = "窗口工作人员甲"
# What the published guide of the demo item promises, in working days.
_PROMISE_DAYS = 3
SMOOTH = ["receive", "accept", "step", "decide", "result_file"]
SCRIPTS: dict[str, list[str]] = {
    "smooth": SMOOTH,
    "correction": ["receive", "correction", "accept", "step", "decide", "result_file"],
    "correction_twice": ["receive", "correction", "correction", "accept", "step", "decide", "result_file"],
    "correction_ignored": ["receive", "correction", "decide:5"],
    "suspended": ["receive", "accept", "step", "suspend", "resume", "decide", "result_file"],
    "not_accepted": ["receive", "not_accept"],
    "refused": ["receive", "accept", "step", "decide:7"],
    **{f"result_{code}": ["receive", "accept", "step", f"decide:{code}"] for code in RESULT_CODES},
}


class Clerk:
    """Acts on cases and tells the product through events."""

    def __init__(self, desk: Desk, events: Events, *, later: Callable[[Doc, float], int], config: Callable[[], Doc]):
        self.desk = desk
        self.events = events
        self.later = later
        self.config = config

    def act(self, number: str, action: str, wish: Doc) -> Doc:
        """One action on one case; a refused one is 409 with the case's state. Returns the event."""
        case = self.desk.store.get("case", number)
        if case is None:
            raise ControlError(404, "没有这个办件")
        if action not in CLERK:
            raise ControlError(404, f"没有这个动作；可用：{'、'.join(CLERK)}")
        code = str(wish.get("code", "0"))
        if action == "decide" and code not in RESULT_CODES:
            raise ControlError(400, f"办结结果只能是 {'、'.join(RESULT_CODES)}")
        try:
            move = clerk_move(action, case["state"], accepted=case["accepted"], code=code)
        except Refusal as refused:
            raise ControlError(409, refused.message) from refused
        payload = getattr(self, f"_{action}")(case, wish)
        case["state"] = move.target
        with self.desk.store.transaction():
            event = self.events.emit(case, move.event, moment(self.desk.now()), payload)
            self.desk.store.put("case", number, case, action)
        return event

    # -- one payload per action --------------------------------------------------------------------------------

    def _day(self, days: int) -> str:
        return (self.desk.now().astimezone(BEIJING) + timedelta(days=days)).strftime("%Y-%m-%d")

    def _working_day(self, days: int) -> str:
        """So many working days from today: a promise never counts Saturdays and Sundays."""
        day = self.desk.now().astimezone(BEIJING)
        while days > 0:
            day += timedelta(days=1)
            days -= day.weekday() < 5
        return day.strftime("%Y-%m-%d")

    def _moment(self) -> str:
        return moment(self.desk.now())

    def _receive(self, case: Doc, wish: Doc) -> Doc:
        return {"receiveUser": wish.get("user", NAME)}

    def _accept(self, case: Doc, wish: Doc) -> Doc:
        case["accepted"] = True
        return {
            "acceptDate": wish.get("acceptDate", self._moment()),
            "promiseDate": wish.get(
                "promiseDate", self._day(int(wish["days"])) if "days" in wish else self._working_day(_PROMISE_DAYS)
            ),
            "acceptDocNo": wish.get("acceptDocNo", f"玉民受〔{self._day(0)[:4]}〕{case['projectNo'][-5:]}号"),
        }

    def _not_accept(self, case: Doc, wish: Doc) -> Doc:
        return {"reason": wish.get("reason", "不符合受理条件：申请人户籍不在本辖区"), "docNo": wish.get("docNo")}

    def _correction(self, case: Doc, wish: Doc) -> Doc:
        number = len(case["corrections"]) + 1
        asked = wish.get("materials") or [
            {"materialId": material["materialId"], "problem": "照片不清晰，请重新拍摄上传"}
            for material in case["body"]["materials"][:1]
        ]
        payload = {
            "no": number,
            "materials": asked,
            "reason": wish.get("reason", "提交的材料不清晰，请按要求补正"),
            "deadline": wish.get("deadline", 5),
            "unit": wish.get("unit", "W"),
            "sender": wish.get("user", NAME),
        }
        case["corrections"].append(payload)
        return payload

    def _step(self, case: Doc, wish: Doc) -> Doc:
        return {
            "processName": wish.get("processName", "审核"),
            "eventName": wish.get("eventName", "审核通过"),
            "start": wish.get("start", self._moment()),
            "end": wish.get("end", self._moment()),
            "user": wish.get("user", "审核人员乙"),
            "opinion": wish.get("opinion", "材料齐全，情况属实"),
        }

    def _suspend(self, case: Doc, wish: Doc) -> Doc:
        case["suspension"] = wish.get("id") or f"T{case['seq'] + 1}"
        return {
            "id": case["suspension"],
            "type": wish.get("type", "2"),
            "name": wish.get("name", "核实"),
            "reason": wish.get("reason", "需向原发证机关核实原证信息"),
            "days": wish.get("days", 3),
        }

    def _resume(self, case: Doc, wish: Doc) -> Doc:
        return {"id": case.get("suspension"), "result": wish.get("result", "核实完毕，情况属实")}

    def _decide(self, case: Doc, wish: Doc) -> Doc:
        code = str(wish.get("code", "0"))
        granted = code in ("0", "6")
        certificate = {
            "name": "老年人优待证",
            "no": f"YDZ{case['projectNo'][-7:]}",
            "validTo": None,
            "issuer": _organisation(case),
        }
        payload: Doc = {
            "code": code,
            "explain": wish.get("explain", "准予办理" if granted else "未予办理"),
            "certificates": wish.get("certificates", [certificate] if granted else []),
            "deliver": wish.get("deliver", 1 if granted and case["body"]["post"]["way"] == "mail" else 0),
        }
        if code in REASON_NEEDED or "reason" in wish or not granted:
            payload["reason"] = wish.get("reason", "逾期未补正" if code == "5" else "经审查不符合规定条件")
        case["result"] = payload
        return payload

    def _result_file(self, case: Doc, wish: Doc) -> Doc:
        issued = (case["result"] or {}).get("certificates") or [{}]
        number = str(issued[0].get("no") or case["projectNo"])
        if wish.get("format") == "jpeg":
            name, mime, content = f"{number}.jpg", JPEG_MIME, certificate_jpeg(number=number)
        else:
            lines = [
                f"持证人：{case['body']['applicant']['applyerName']}",
                f"证件编号：{number}",
                f"发证机关：{_organisation(case)}",
                f"发证日期：{self._day(0)}",
                "（沙箱生成，仅供演示）",
            ]
            title = str(issued[0].get("name") or case["body"]["base"]["taskName"])
            name, mime, content = f"{number}.pdf", PDF_MIME, certificate_pdf(title=title, lines=lines)
        attach_id = f"R{case['seq'] + 1:04d}{case['projectNo'][-8:]}"
        self.desk.save_file(attach_id, case["projectNo"], name=name, mime=mime, content=content)
        sign = seal_of(content, good=not wish.get("bad_sign"))
        return {"attachId": attach_id, "name": name, "mime": mime, "sign": sign}

    def _close(self, case: Doc, wish: Doc) -> Doc:
        case["archived"] = True
        return {"at": wish.get("at", self._moment())}

    # -- the clerk who works alone -----------------------------------------------------------------------------

    def begin(self, case: Doc) -> None:
        """A new case arrived: start the configured script, if any; call it inside the transaction of the push."""
        name = self.config()["auto_clerk"]
        if name and case["script"] is None:
            self.start_script(case, script_steps(name))

    def start_script(self, case: Doc, steps: list[str]) -> None:
        case["script"] = {"steps": steps, "at": 0}
        self.desk.store.put("case", case["projectNo"], case, "script")
        self.later({"projectNo": case["projectNo"], "step": 0}, float(self.config()["clerk_delay_s"]))

    async def run_step(self, callback: Callback) -> bool:
        """One step of a script; waits on its ladder while the citizen's supplement is awaited, ends on withdrawal."""
        number, index = callback.payload["projectNo"], callback.payload["step"]
        case = self.desk.store.get("case", number)
        if case is None or case["script"] is None or case["script"]["at"] != index:
            return True
        steps = case["script"]["steps"]
        action, _, code = steps[index].partition(":")
        if case["state"] == CORRECTION and not (action == "decide" and code == "5"):
            return False
        if case["state"] == "WITHDRAWN":
            return True
        with self.desk.store.transaction():
            self.act(number, action, {"code": code} if code else {})
            case = self.desk.store.get("case", number)
            if case is None:
                return True
            case["script"]["at"] = index + 1
            self.desk.store.put("case", number, case, "script")
            if index + 1 < len(steps):
                self.later({"projectNo": number, "step": index + 1}, float(self.config()["clerk_delay_s"]))
        return True


def script_steps(wish: Any) -> list[str]:
    """A named script or an explicit list of actions (`decide:7` carries a code)."""
    if isinstance(wish, str):
        if wish not in SCRIPTS:
            raise ControlError(400, f"没有这个脚本；可用：{'、'.join(SCRIPTS)}")
        return list(SCRIPTS[wish])
    if not isinstance(wish, list) or not all(isinstance(step, str) for step in wish) or not wish:
        raise ControlError(400, "steps 必须是动作列表")
    unknown = [step for step in wish if step.partition(":")[0] not in CLERK]
    if unknown:
        raise ControlError(400, f"没有这个动作：{'、'.join(unknown)}")
    return list(wish)


def _organisation(case: Doc) -> str:
    return str(case["body"]["base"]["orgName"])


# A script that waits for a supplement asks again this often, for about a week.
SCRIPT_LADDER = (*([1.0] * 600), *([60.0] * 10_000))
