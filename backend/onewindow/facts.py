"""The platform's events as facts of a case: one function per event type, mapping wire words to canonical ones.

What cannot be mapped raises Unclear and is shown to a person; nothing is guessed.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from backend.cases import corrections, progress, results
from backend.cases.ports import Applied, CertificateFact, Outcome, Shortcoming, SuspensionKind
from backend.onewindow import deadlines
from backend.onewindow.inbound import moment
from backend.onewindow.ports import runtime
from kernel import clock


class Unclear(Exception):
    """The event cannot be applied without a person. `reason` is Chinese and holds no personal data."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A result file that was fetched before the transaction."""

    storage_key: str
    sha256: str
    bytes: int
    mime: str


@dataclass(frozen=True, kw_only=True)
class Told:
    """An event about to be applied."""

    case_no: str
    source_ref: str
    type: str
    at: datetime
    payload: dict[str, Any]
    file: StoredFile | None = None


# What the platform's own state is after each event; events that are not here change no state.
WIRE_STATES = {
    "RECEIVED": "RECEIVED",
    "ACCEPTED": "ACCEPTED",
    "NOT_ACCEPTED": "NOT_ACCEPTED",
    "CORRECTION": "CORRECTION",
    "STEP": "PROCESSING",
    "SUSPEND_START": "SUSPENDED",
    "SUSPEND_END": "PROCESSING",
    "RESULT": "FINISHED",
}
_DECIDED = "FINISHED"


def wire_state(before: str, event_type: str) -> str:
    """Where the platform stands after an event. What is written down after the decision takes nothing back."""
    return before if before == _DECIDED else WIRE_STATES.get(event_type, before)


async def apply(told: Told) -> Applied:
    """Record one event in its case. Joins the caller's transaction; a second copy changes nothing. Raises Unclear."""
    known = _BY_TYPE.get(told.type)
    if known is None:
        raise Unclear(f"不认识的事件类型 {told.type}")
    return await known(told)


async def _received(told: Told) -> Applied:
    return await progress.record_received(
        case_no=told.case_no, source_ref=told.source_ref, at=told.at, receiver=_text(told, "receiveuser", 100)
    )


async def _accepted(told: Told) -> Applied:
    return await progress.accept(
        case_no=told.case_no,
        source_ref=told.source_ref,
        at=told.at,
        promise_on=_day(told.payload.get("promisedate")),
        document_no=_text(told, "acceptdocno", 100),
    )


async def _not_accepted(told: Told) -> Applied:
    return await progress.decline(
        case_no=told.case_no,
        source_ref=told.source_ref,
        at=told.at,
        reason=_needed(told, "reason", "不予受理没有写明理由"),
        document_no=_text(told, "docno", 100),
    )


async def _correction(told: Told) -> Applied:
    asked = told.payload.get("materials")
    items = tuple(
        Shortcoming(material_code=str(entry.get("materialid") or ""), problem=str(entry.get("problem") or "")[:500])
        for entry in (asked if isinstance(asked, list) else [])
        if isinstance(entry, dict)
    )
    reason = _text(told, "reason", 2000)
    if not items and not reason:
        raise Unclear("补正通知没有写明要补什么")
    return await corrections.ask_correction(
        case_no=told.case_no,
        source_ref=told.source_ref,
        at=told.at,
        items=items or (Shortcoming(material_code="", problem=reason),),
        reason=reason,
        deadline_on=_deadline(told),
        sender=_text(told, "sender", 200),
    )


def _deadline(told: Told) -> date:
    """The last day: a number of days with its unit, or a date or moment that the platform computed itself."""
    value = told.payload.get("deadline")
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,4}", value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= deadlines.MAX_DAYS:
        return deadlines.last_day(told.at, days=value, unit=_text(told, "unit", 4) or "W")
    day = _day(value)
    if day is None:
        raise Unclear("补正期限无法识别")
    if day < clock.local(told.at).date():  # it would send the case back before anybody could answer
        raise Unclear("补正期限早于通知的日期")
    return day


async def _step(told: Told) -> Applied:
    return await progress.record_step(
        case_no=told.case_no,
        source_ref=told.source_ref,
        at=told.at,
        name=_text(told, "processname", 200) or _text(told, "eventname", 200) or "办理",
        office=_text(told, "user", 100),
        opinion=_text(told, "opinion", 2000),
        ended_at=moment(told.payload.get("end")),
    )


async def _suspend(told: Told) -> Applied:
    kind = _text(told, "type", 20)
    return await progress.suspend(
        case_no=told.case_no,
        source_ref=told.source_ref,
        at=told.at,
        suspension_ref=_suspension_ref(told),
        kind=SuspensionKind.SUSPENDED if kind in runtime().settings.hold_types else SuspensionKind.SPECIAL,
        name=_text(told, "name", 200) or "暂停办理",
        reason=_text(told, "reason", 2000),
        until_on=_until(told),
    )


def _until(told: Told) -> date | None:
    days = told.payload.get("days")
    if not isinstance(days, int) or isinstance(days, bool) or not 0 < days <= deadlines.MAX_DAYS:
        return None
    return deadlines.last_day(told.at, days=days, unit=_text(told, "unit", 4) or "W")


async def _resume(told: Told) -> Applied:
    return await progress.resume(
        case_no=told.case_no,
        source_ref=told.source_ref,
        at=told.at,
        suspension_ref=_suspension_ref(told),
        result=_text(told, "result", 2000),
    )


def _suspension_ref(told: Told) -> str:
    return _needed(told, "id", "暂停没有编号")[:80]


async def _result(told: Told) -> Applied:
    code = str(told.payload.get("code", ""))
    outcome = dict(runtime().settings.result_codes).get(code)
    if outcome is None:
        raise Unclear(f"办结代码“{code[:8]}”含义不明确，请核实后人工确认")
    return await decide(told, outcome)


async def decide(told: Told, outcome: Outcome) -> Applied:
    """A decision whose outcome is known, from the code table or from a person."""
    deliver = told.payload.get("deliver")
    return await progress.decide(
        case_no=told.case_no,
        source_ref=told.source_ref,
        at=told.at,
        outcome=outcome,
        code=str(told.payload.get("code", ""))[:8],
        explain=_text(told, "explain", 2000),
        reason=_text(told, "reason", 2000),
        certificates=_certificates(told),
        deliver=deliver in (1, "1", True),
    )


def _certificates(told: Told) -> tuple[CertificateFact, ...]:
    entries = told.payload.get("certificates")
    return tuple(
        CertificateFact(
            name=str(entry.get("name") or "")[:256],
            number=str(entry.get("no") or "")[:128],
            issuer=str(entry.get("issuer") or "")[:200],
            valid_to=str(entry.get("validto") or "")[:30],
        )
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and entry.get("no")
    )


async def _result_file(told: Told) -> Applied:
    if told.file is None:
        raise Unclear("结果文件没有取到")
    return await results.add_result_file(
        case_no=told.case_no,
        source_ref=told.source_ref,
        at=told.at,
        name=_text(told, "name", 200) or "办理结果",
        mime=told.file.mime,
        storage_key=told.file.storage_key,
        sha256=told.file.sha256,
        bytes=told.file.bytes,
        seal_info=_text(told, "sign", 4000),
    )


async def _closed(told: Told) -> Applied:
    return await progress.close(case_no=told.case_no, source_ref=told.source_ref, at=told.at)


_BY_TYPE: dict[str, Callable[[Told], Awaitable[Applied]]] = {
    "RECEIVED": _received,
    "ACCEPTED": _accepted,
    "NOT_ACCEPTED": _not_accepted,
    "CORRECTION": _correction,
    "STEP": _step,
    "SUSPEND_START": _suspend,
    "SUSPEND_END": _resume,
    "RESULT": _result,
    "RESULT_FILE": _result_file,
    "CLOSED": _closed,
}
TYPES = tuple(_BY_TYPE)


def _text(told: Told, name: str, limit: int) -> str:
    """Text of the payload; the literal "null" of careless senders is empty."""
    value = told.payload.get(name)
    if not isinstance(value, str) or value.strip().lower() == "null":
        return ""
    return value.strip()[:limit]


def _needed(told: Told, name: str, complaint: str) -> str:
    value = _text(told, name, 2000)
    if not value:
        raise Unclear(complaint)
    return value


def _day(value: Any) -> date | None:
    """A date, or the date of a moment; None when absent or unreadable."""
    exact = moment(value)
    if exact is not None:
        return clock.local(exact).date()
    if not isinstance(value, str):
        return None
    text = value.strip()
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
