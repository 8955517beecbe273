"""One view of case × bill × parcel: what a phone shows of a case, and what the person should do now. Computed, never stored."""

import asyncio
from datetime import datetime, timedelta

import msgspec

import payments
from backend.cases import details
from backend.cases.details import CaseDetail
from backend.cases.states import CASE, CaseState
from backend.delivery import queries as delivery
from backend.delivery.planner import DELIVERY_BILL
from backend.delivery.queries import ParcelSummary
from backend.delivery.states import ParcelState
from backend.identity.actor import Actor
from backend.onewindow import queries as onewindow
from kernel import clock
from payments import BillView

_WHOLE_SECOND = timedelta(seconds=1)
_PAY = frozenset({"unpaid", "part_paid"})
_AT_THE_DOOR = frozenset({ParcelState.OUT_FOR_DELIVERY, ParcelState.ATTEMPT_FAILED})


class NextAction(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now. `action` is stable for clients, `text` is for people; `target` names the object it is about."""

    action: str
    text: str
    target: str | None = None
    until_at: datetime | None = None


class CaseOverview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a phone needs to show one case."""

    case: CaseDetail
    bills: tuple[BillView, ...]
    parcels: tuple[ParcelSummary, ...]
    forwarding: str | None
    next_action: NextAction


class TimelineLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the story. `track` is case, bill or parcel."""

    at: datetime
    track: str
    text: str
    detail: str | None = None


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The whole story, oldest first."""

    case_no: str
    items: tuple[TimelineLine, ...]


async def case(*, actor: Actor, case_no: str) -> CaseOverview:
    """The actor's own case with its bills and parcels. Raises NotFound, also for another person's case."""
    detail = await details.detail(actor=actor, case_no=case_no)
    bills, parcels, forwarding = await asyncio.gather(
        payments.bills_of(subject_of(case_no)), delivery.parcels_of(case_no), onewindow.forwarding_label(case_no)
    )
    if detail.status == _status(CaseState.WITHDRAWN):
        # Telling the window of it is our business; the person has done with it.
        forwarding = None
    return CaseOverview(
        case=detail,
        bills=tuple(bills),
        parcels=parcels,
        forwarding=forwarding,
        next_action=next_action(detail, tuple(bills), parcels, forwarding),
    )


async def timeline(*, actor: Actor, case_no: str) -> Timeline:
    """Case events, payments and parcel movements in one line. Raises NotFound, also for another person's case."""
    entries = await details.timeline(actor=actor, case_no=case_no)
    bills, moves = await asyncio.gather(payments.bills_of(subject_of(case_no)), delivery.timeline(case_no))
    lines = _in_order([TimelineLine(at=e.at, track="case", text=e.text, detail=e.detail) for e in entries])
    for bill in bills:
        lines += _in_order(_bill_lines(bill))
    lines += [
        TimelineLine(at=m.at, track="parcel", text=m.text, detail=m.place or None) for m in moves if m.moved or m.place
    ]
    return Timeline(case_no=case_no, items=tuple(sorted(lines, key=lambda line: line.at)))


def _in_order(track: list[TimelineLine]) -> list[TimelineLine]:
    """Partners tell time in whole seconds: what came later must not seem to have happened a moment earlier."""
    ordered: list[TimelineLine] = []
    for line in track:
        last = ordered[-1].at if ordered else line.at
        just_before = timedelta(0) < last - line.at < _WHOLE_SECOND
        ordered.append(msgspec.structs.replace(line, at=last) if just_before else line)
    return ordered


async def outstanding_fen(case_no: str) -> int:
    """What is still to be paid for a case, in fen."""
    return sum(b.due_fen - b.paid_fen for b in await payments.bills_of(subject_of(case_no)) if b.payable)


def subject_of(case_no: str) -> str:
    """How payments names what a bill of this case is for."""
    return f"case:{case_no}"


def next_action(
    detail: CaseDetail, bills: tuple[BillView, ...], parcels: tuple[ParcelSummary, ...], forwarding: str | None
) -> NextAction:
    """The one thing the person should do now; "wait" when it is somebody else's turn."""
    if detail.status == _status(CaseState.DRAFT):
        return NextAction(action="submit", text="请补全内容后提交申请")
    waiting = next((c for c in detail.corrections if c.state == "open"), None)
    if waiting is not None and not detail.finished:
        return NextAction(
            action="correct",
            text=f"请补正 {len(waiting.items)} 项内容",
            target=str(waiting.number),
            until_at=waiting.deadline_at,
        )
    # Before any other bill: whoever has started to pay finishes that first, or lets it run out.
    ongoing = next((b for b in bills if b.status == "ongoing"), None)
    if ongoing is not None:
        return NextAction(
            action="wait_payment", text=ongoing.next_step, target=ongoing.bill_no,
            until_at=clock.local(ongoing.expires_at) if ongoing.payable else None,
        )  # fmt: skip
    payable = next((b for b in bills if b.payable and b.status in _PAY), None)
    if payable is not None:
        return NextAction(
            action="pay", text=f"请缴费 {payable.due_fen / 100:.2f} 元（{payable.title}）", target=payable.bill_no,
            until_at=clock.local(payable.expires_at),
        )  # fmt: skip
    expired = {b.kind for b in bills if b.status == "expired"}
    if expired - {DELIVERY_BILL} and not detail.finished:
        return NextAction(action="withdraw", text="缴费单已过期，请撤回后重新申请")
    if detail.finished:
        granted = detail.status == _status(CaseState.GRANTED)
        found = parcel_action(parcels, granted=granted, fee_expired=DELIVERY_BILL in expired)
        return found or _over(detail, bills)
    return NextAction(action="wait", text=forwarding or f"{detail.status_label}，请等待办理")


def parcel_action(parcels: tuple[ParcelSummary, ...], *, granted: bool, fee_expired: bool = False) -> NextAction | None:
    """What is left to do for the result of a case that is decided; None when it is in the right hands, or there is none."""
    for parcel in parcels:
        if granted and (parcel.state == ParcelState.CANCELLED or (parcel.state == ParcelState.QUOTED and fee_expired)):
            why = "寄送费没有按时缴纳" if fee_expired else "快递预约被取消"
            text = f"{why}，证件没有寄出，请带身份证到{parcel.window_name}领取"
            return NextAction(action="collect", text=text, target=parcel.delivery_no)
        if parcel.code_locked and not parcel.finished:
            if parcel.code_renewals_left > 0:
                text = "签收码已锁定，请重新获取"
                return NextAction(action="renew_sign_code", text=text, target=parcel.delivery_no)
            text = "签收码已锁定且不能再获取，请出示身份证，由投递员按特殊情况登记，或联系窗口"
            return NextAction(action="wait_parcel", text=text, target=parcel.delivery_no)
        if parcel.code_open and parcel.state in _AT_THE_DOOR:
            text = "快递正在派送，收件时请出示签收码"
            return NextAction(action="show_sign_code", text=text, target=parcel.delivery_no)
        if parcel.state in (ParcelState.WAITING_PICKUP, ParcelState.RETURNED):
            code = "，领取时出示签收码" if parcel.code_open else ""
            text = f"证件在{parcel.window_name}，请带身份证去领取{code}"
            return NextAction(action="collect", text=text, target=parcel.delivery_no)
        if not parcel.finished:
            text = f"证件寄送：{parcel.status_label}"
            return NextAction(action="wait_parcel", text=text, target=parcel.delivery_no)
    return None


def _over(detail: CaseDetail, bills: tuple[BillView, ...]) -> NextAction:
    """Nothing is left for the person. Money that goes back takes its time, and says how far it has come."""
    owed = [(bill, refund) for bill in bills for refund in bill.refunds if not refund.finished]
    if owed:
        amount, (bill, refund) = sum(refund.amount_fen for _, refund in owed) / 100, owed[0]
        text = f"{detail.status_label}。退款处理中：应退 {amount:.2f} 元，{refund.next_step}"
        return NextAction(action="none", text=text, target=bill.bill_no)
    back = sum(r.amount_fen for bill in bills for r in bill.refunds if r.status == "refunded") / 100
    tail = f"已退还 {back:.2f} 元，没有需要您做的事" if back else "没有需要您做的事"
    return NextAction(action="none", text=f"{detail.status_label}，{tail}")


def _status(state: CaseState) -> str:
    return CASE.label(state).status


def _bill_lines(bill: BillView) -> list[TimelineLine]:
    lines = [
        TimelineLine(
            at=clock.local(bill.issued_at), track="bill", text=f"开出缴费单：{bill.title} {bill.due_fen / 100:.2f} 元"
        )
    ]
    lines += [
        TimelineLine(
            at=clock.local(p.paid_at), track="bill", text=f"已缴费 {p.amount_fen / 100:.2f} 元（{bill.title}）"
        )
        for p in bill.payments
        if p.paid_at is not None
    ]
    lines += [
        TimelineLine(
            at=clock.local(r.since_at), track="bill", text=f"应退 {r.amount_fen / 100:.2f} 元（{r.cause_label}）"
        )
        for r in bill.refunds
        if r.status != "paid"
    ]
    lines += [
        TimelineLine(at=clock.local(r.finished_at), track="bill", text=f"{r.label} {r.amount_fen / 100:.2f} 元")
        for r in bill.refunds
        if r.finished_at is not None and r.status == "refunded"
    ]
    return lines
