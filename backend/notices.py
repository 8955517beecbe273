"""Which event tells whom what: one table event → message. How a message travels is the business of `notifications`."""

from collections.abc import Mapping
from dataclasses import dataclass

import notifications
from backend import overview
from backend.cases import news
from backend.cases.states import CaseState
from backend.delivery import queries as delivery
from kernel import clock, db
from kernel.outbox import Delivery, Topic

_PAGE = "pages/case/index"


@dataclass(frozen=True)
class Word:
    """What a state is called in a message (at most five Han, the limit of WeChat's status field), and what comes next."""

    template: str
    status: str
    hint: str


# One row per state that citizens are told about. A state without a row is not announced.
CASE_WORDS: Mapping[str, Word] = {
    CaseState.SUBMITTED: Word("progress", "已提交", "窗口收到后会尽快受理"),
    CaseState.PRE_RETURNED: Word("progress", "请修改", "请按提示修改后重新提交"),
    CaseState.ACCEPTED: Word("progress", "已受理", "正在按承诺时限办理"),
    CaseState.NOT_ACCEPTED: Word("result", "不予受理", "请查看原因和解决办法"),
    CaseState.PROCESSING: Word("progress", "办理中", "请耐心等待"),
    CaseState.SPECIAL: Word("progress", "特别程序", "期间不计入办理时限"),
    CaseState.SUSPENDED: Word("progress", "暂停办理", "请查看原因"),
    CaseState.DEFERRED: Word("progress", "容缺受理", "请在约定日期前补齐材料"),
    CaseState.GRANTED: Word("result", "准予", "已办好"),
    CaseState.REFUSED: Word("result", "不予许可", "请查看理由和救济途径"),
    CaseState.REFERRED_UP: Word("result", "已转报", "已转报上级办理"),
    CaseState.RETURNED: Word("result", "已退件", "请查看原因，可以重新申请"),
    CaseState.WITHDRAWN: Word("result", "已撤回", "如已缴费会按规定退还"),
    CaseState.VOID: Word("result", "已作废", "请查看原因"),
}

PARCEL_WORDS: Mapping[str, Word] = {
    "BOOKED": Word("delivery", "已约快递", "快递员取件后会再通知您"),
    "PICKED_UP": Word("delivery", "已取件", "正在寄出"),
    "IN_TRANSIT": Word("delivery", "运输中", "请留意派送通知"),
    "OUT_FOR_DELIVERY": Word("delivery", "派送中", "收件时请在小程序出示签收码"),
    "ATTEMPT_FAILED": Word("delivery", "未送到", "快递员会再次派送"),
    "HELD": Word("delivery", "暂存待取", "请联系窗口或到窗口领取"),
    "REFUSED": Word("delivery", "已拒收", "包裹将退回窗口"),
    "RETURNED": Word("delivery", "已退窗口", "请到窗口领取"),
    "CANCELLED": Word("delivery", "未寄出", "请带身份证到窗口领取"),
    "LOST": Word("delivery", "寄送异常", "窗口会与您联系"),
    "DELIVERED": Word("delivery", "已签收", "办理完成，欢迎评价"),
    "WAITING_PICKUP": Word("delivery", "待领取", "请带身份证到窗口领取"),
    "COLLECTED": Word("delivery", "已领取", "办理完成"),
}

# Coming back from a correction is not the first time the state is reached.
_AGAIN: Mapping[str, Word] = {
    CaseState.SUBMITTED: Word("progress", "已补正", "补正内容已送往窗口"),
    CaseState.PROCESSING: Word("progress", "继续办理", "补正内容已送往窗口"),
}

_CAUSES = {"surplus": "重复缴费", "late": "逾期后到账", "withdrawal": "事项已撤回或未办成"}
_OFFLINE = "success_offline"


async def case_moved(job: Delivery) -> None:
    """case.status_changed {case_no, seq, state, status, passing}: one message per change of public status that lasts."""
    case_no, state = job.payload["case_no"], job.payload["state"]
    if job.payload.get("passing"):
        return
    facts = await news.about(case_no, seq=job.payload["seq"])
    values: dict[str, notifications.Value] = {"case_no": case_no, "item": facts.item_name}
    asked = await news.open_correction(case_no) if state == CaseState.CORRECTING else None
    if asked is not None:
        await _tell(job, facts.account_ref, "correction", {**values, "what": asked.what, "until": asked.until_on})
        return
    word = _AGAIN.get(state) if facts.after_correction else None
    word = word or CASE_WORDS.get(state)
    if word is not None:
        await _tell(
            job, facts.account_ref, word.template, {**values, "status": word.status, "at": facts.at, "hint": word.hint}
        )


async def bill_paid(job: Delivery) -> None:
    """bill.paid {bill_no, subject, kind}: the payer hears that the money has arrived."""
    case_no = _case_of(job)
    if case_no is None:
        return
    facts = await news.about(case_no)
    values: dict[str, notifications.Value] = {
        "case_no": case_no, "item": facts.item_name, "status": "已缴费", "at": clock.now(),
        "hint": "寄送费已到账" if job.payload["kind"] == "delivery" else "费用已到账，正在送往窗口",
    }  # fmt: skip
    await _tell(job, facts.account_ref, "progress", values)


async def refund_due(job: Delivery) -> None:
    """bill.refund_due {bill_no, subject, amount_fen, cause}: money is owed back, and the person knows why."""
    case_no = _case_of(job)
    if case_no is None:
        return
    facts = await news.about(case_no)
    values: dict[str, notifications.Value] = {
        "case_no": case_no, "item": facts.item_name, "amount": job.payload["amount_fen"],
        "cause": _CAUSES.get(job.payload["cause"], "应退款项"),
    }  # fmt: skip
    await _tell(job, facts.account_ref, "refund", values)


async def refund_succeeded(job: Delivery) -> None:
    """refund.succeeded {refund_no, bill_no, subject, amount_fen, cause, state}: the money is back, and by which way."""
    how = (
        "收款单位已线下付款"
        if job.payload["state"] == _OFFLINE
        else "已退回原支付账户，零钱即时、银行卡 1 至 3 个工作日到账"
    )
    await _tell_of_refund(job, "refund_done", {"how": how})


async def refund_denied(job: Delivery) -> None:
    """refund.denied {the same}: whoever asked for her money hears that the unit refused. Our own corrections are not told."""
    if job.payload["cause"] == "request":
        await _tell_of_refund(job, "refund_denied", {})


async def _tell_of_refund(job: Delivery, template: str, more: Mapping[str, notifications.Value]) -> None:
    case_no = _case_of(job)
    if case_no is None:
        return
    facts = await news.about(case_no)
    values = {"case_no": case_no, "item": facts.item_name, "amount": int(job.payload["amount_fen"]), **more}
    await _tell(job, facts.account_ref, template, values)


async def payment_wanted(job: Delivery) -> None:
    """case.submitted {case_no}: when something is to be paid first, say how much."""
    case_no = job.payload["case_no"]
    facts = await news.about(case_no)
    amount = await overview.outstanding_fen(case_no)
    if amount > 0:
        await _tell(job, facts.account_ref, "payment", {"case_no": case_no, "item": facts.item_name, "amount": amount})


async def parcel_moved(job: Delivery) -> None:
    """parcel.moved and parcel.delivered: one message per step of the parcel that matters to the receiver."""
    state = job.payload.get("state", "DELIVERED")
    word = PARCEL_WORDS.get(state)
    if word is None:
        return
    case_no = job.payload["case_no"]
    facts = await news.about(case_no)
    if state == "CANCELLED" and not facts.granted:
        return  # the case itself has ended: there is nothing to fetch, and that was told
    moves = [m for m in await delivery.timeline(case_no) if m.moved]
    at = moves[-1].at if moves else clock.now()
    await _tell(
        job, facts.account_ref, word.template,
        {"case_no": case_no, "item": facts.item_name, "status": word.status, "at": at, "hint": word.hint},
    )  # fmt: skip


async def _tell(job: Delivery, account_ref: str, template: str, values: Mapping[str, notifications.Value]) -> None:
    """The message and the end of the event's row are one: told exactly once."""
    case_no = str(values["case_no"])
    async with db.transaction():
        await notifications.notify(
            key=job.key, recipient_ref=account_ref, template=template, values=values,
            page=f"{_PAGE}?case_no={case_no}", link_ref=overview.subject_of(case_no),
        )  # fmt: skip
        await job.finish()


def _case_of(job: Delivery) -> str | None:
    subject = str(job.payload["subject"])
    return subject.removeprefix("case:") if subject.startswith("case:") else None


TOPICS: tuple[Topic, ...] = (
    Topic(name="notices.case", handler=case_moved, max_age_hours=72),
    Topic(name="notices.payment", handler=payment_wanted, max_age_hours=72),
    Topic(name="notices.paid", handler=bill_paid, max_age_hours=72),
    Topic(name="notices.refund", handler=refund_due, max_age_hours=168),
    Topic(name="notices.refund_succeeded", handler=refund_succeeded, max_age_hours=168),
    Topic(name="notices.refund_denied", handler=refund_denied, max_age_hours=168),
    Topic(name="notices.parcel", handler=parcel_moved, max_age_hours=72),
)
SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {
    "case.status_changed": ("notices.case",),
    "case.submitted": ("notices.payment",),
    "bill.paid": ("notices.paid",),
    "bill.refund_due": ("notices.refund",),
    "refund.succeeded": ("notices.refund_succeeded",),
    "refund.denied": ("notices.refund_denied",),
    "refund.failed": (),
    "parcel.booked": (),
    "parcel.moved": ("notices.parcel",),
    "parcel.out_for_delivery": (),
    "parcel.delivered": (),
    "parcel.review_needed": (),
    "message.failed": (),
}
JOBS = ()
