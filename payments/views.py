"""What people see of bills and payments: the public words and the views, computed from states, never stored."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypedDict

import msgspec

from kernel import clock
from payments import runtime
from payments.models import Attempt, Bill, BillLine, Refund
from payments.receipt_rows import ReceiptView
from payments.refund_states import CAUSES, NEXT_STEPS, REFUND, RESERVED, SUCCEEDED, RefundState
from payments.states import ACTIVE, ATTEMPT, BILL, SETTLED, VOCABULARY, AttemptState, BillState, PublicStatus


class BillLineView(msgspec.Struct, frozen=True, kw_only=True):
    """One line; amounts in fen."""

    fee_code: str
    name: str
    quantity: int
    price_fen: int
    amount_fen: int


class RefundView(msgspec.Struct, frozen=True, kw_only=True):
    """Money on its way back to the payer, or the request for it; amounts in fen."""

    refund_no: str
    payment_no: str
    amount_fen: int
    cause: str
    cause_label: str
    status: str
    label: str
    finished: bool
    next_step: str
    since_at: datetime
    finished_at: datetime | None = None


class ClientAction(TypedDict, total=False):
    """What opens the cashier, by `channel`: wechat_jsapi gives the five fields of wx.requestPayment, wechat_h5, alipay_wap
    and unified_pay a `url` to open in the phone's browser, alipay_mini the `tradeNO` of my.tradePay."""

    timeStamp: str
    nonceStr: str
    package: str
    signType: str
    paySign: str
    url: str
    tradeNO: str


class PaymentView(msgspec.Struct, frozen=True, kw_only=True):
    """One try to pay. `client_action` is there only while the phone may still open the cashier with it, `receipt_no` (of
    the payment receipt, 缴费凭证) once it is paid."""

    payment_no: str
    bill_no: str
    channel: str
    status: str
    label: str
    finished: bool
    next_step: str
    amount_fen: int
    currency: str
    expires_at: datetime
    paid_at: datetime | None = None
    client_action: ClientAction | None = None
    receipt: ReceiptView | None = None
    receipt_no: str | None = None


class BillView(msgspec.Struct, frozen=True, kw_only=True):
    """One bill as its owner sees it; amounts in fen. `channels` are the ways in which it may be paid now."""

    bill_no: str
    subject: str
    kind: str
    unit_code: str
    title: str
    status: str
    label: str
    finished: bool
    payable: bool
    channels: list[str]
    next_step: str
    gross_fen: int
    waived_fen: int
    due_fen: int
    paid_fen: int
    currency: str
    expires_at: datetime
    issued_at: datetime
    lines: list[BillLineView]
    payments: list[PaymentView]
    refunds: list[RefundView]


_REVIEW = "这笔支付正在人工核对，请勿重复支付"
_TRY_AGAIN = "这次没有支付成功，可以重新发起支付"


def takes_payment(bill: Bill) -> bool:
    """Whether a new payment may be started now."""
    return (
        bill.void_reason is None
        and bill.state in (BillState.OPEN, BillState.PART_PAID)
        and clock.now() < bill.expires_at
    )


def bill_status(bill: Bill, attempts: Sequence[Attempt], refunds: Sequence[Refund]) -> PublicStatus:
    """The public word of a bill. While anything is open at a channel an unpaid bill is "ongoing", never "paid" or "failed"."""
    under_way = going_back(refunds)
    if bill.state in (BillState.PAID, BillState.PART_REFUNDED, BillState.REFUNDED) and under_way:
        # What belongs to the bill goes back, or only what was paid too much.
        return VOCABULARY["refunding" if any(r.source == "income" for r in under_way) else "duplicated"]
    if bill.state == BillState.PAID:
        return VOCABULARY["paid"]
    if any(a.state in ACTIVE for a in attempts):
        return VOCABULARY["ongoing"]
    if under_way:
        return VOCABULARY["refunding"]
    if bill.state == BillState.WITHDRAWN and any(r.state in SUCCEEDED for r in refunds):
        return VOCABULARY["refunded"]
    if bill.void_reason is not None and bill.state in (BillState.OPEN, BillState.EXPIRED):
        return VOCABULARY["cancelled"]
    if bill.state == BillState.OPEN and clock.now() >= bill.expires_at:
        return VOCABULARY["expired"]
    return VOCABULARY[BILL.label(bill.state).status]


def going_back(refunds: Sequence[Refund]) -> list[Refund]:
    """Refunds that are promised and not over. A failed one is, until another took its place; a request is not decided yet."""
    return [
        r for r in refunds
        if r.state in RESERVED
        or (r.state == RefundState.FAILED and not _replaced(r, refunds))
        or (r.state == RefundState.REQUESTED and r.automatic)
    ]  # fmt: skip


def refund_view(refund: Refund, payment_no: str) -> RefundView:
    """One refund as its payer sees it."""
    label = REFUND.label(refund.state)
    word = VOCABULARY[label.status]
    return RefundView(
        refund_no=refund.refund_no,
        payment_no=payment_no,
        amount_fen=refund.amount_fen,
        cause=refund.cause,
        cause_label=CAUSES[refund.cause].label,
        status=word.status,
        label=label.label,
        finished=label.finished,
        next_step=NEXT_STEPS.get(RefundState(refund.state), word.next_step),
        since_at=refund.created_at,
        finished_at=refund.finished_at,
    )


def payment_view(
    attempt: Attempt,
    bill: Bill,
    refunds: Sequence[Refund],
    *,
    action_life_seconds: int,
    receipt: ReceiptView | None = None,
) -> PaymentView:
    """One attempt as its payer sees it."""
    label = ATTEMPT.label(attempt.state)
    word = VOCABULARY[label.status]
    text, finished, step = label.label, label.finished, word.next_step
    under_way = going_back([r for r in refunds if r.attempt_id == attempt.id])
    if attempt.state in SETTLED and under_way:
        word = VOCABULARY["duplicated" if any(r.cause == "surplus" for r in under_way) else "refunding"]
        text, finished, step = word.label, word.finished, word.next_step
    elif attempt.state in (AttemptState.REJECTED, AttemptState.CLOSED):
        # What comes next is said by the bill: paid another way, given up, past its deadline, or to be tried again.
        step = _TRY_AGAIN if takes_payment(bill) else bill_status(bill, (), ()).next_step
    elif attempt.state == AttemptState.PENDING:
        step = "请在截止时间前完成支付，支付后请等待系统确认"
    if attempt.review_required and attempt.state in ACTIVE:
        step = _REVIEW
    return PaymentView(
        payment_no=attempt.payment_no,
        bill_no=bill.bill_no,
        channel=runtime.way(attempt.channel, attempt.product),
        status=word.status,
        label=text,
        finished=finished,
        next_step=step,
        amount_fen=attempt.amount_fen,
        currency=attempt.currency,
        expires_at=attempt.expires_at,
        paid_at=attempt.paid_at,
        client_action=_usable_action(attempt, action_life_seconds),
        receipt=receipt,
        receipt_no=receipt_no(attempt, refunds),
    )


def receipt_no(attempt: Attempt, refunds: Sequence[Refund]) -> str | None:
    """A payment receipt has the number of its payment; None while unpaid, and for a payment that is surplus as a whole."""
    if attempt.state not in SETTLED:
        return None
    extra = sum(r.amount_fen for r in refunds if r.attempt_id == attempt.id and _first_of_surplus(r))
    return attempt.payment_no if extra < attempt.amount_fen else None


def _first_of_surplus(refund: Refund) -> bool:
    """What a bill did not take is owed back by one automatic refund; a failed one is followed by others for the same money."""
    return refund.source == "surplus" and refund.automatic and refund.follows_id is None


def bill_view(
    bill: Bill,
    lines: Sequence[BillLine],
    attempts: Sequence[Attempt],
    refunds: Sequence[Refund],
    *,
    paid_fen: int,
    action_life: Callable[[Attempt], int],
    channels: list[str],
    receipts: Mapping[int, ReceiptView],
) -> BillView:
    """One bill with everything that belongs to it."""
    word = bill_status(bill, attempts, refunds)
    numbers = {a.id: a.payment_no for a in attempts}
    return BillView(
        bill_no=bill.bill_no,
        subject=bill.subject,
        kind=bill.kind,
        unit_code=bill.unit_code,
        title=bill.title,
        status=word.status,
        label=word.label,
        finished=word.finished,
        payable=takes_payment(bill),
        channels=channels,
        next_step=_bill_step(word, attempts, refunds),
        gross_fen=bill.gross_fen,
        waived_fen=bill.waived_fen,
        due_fen=bill.due_fen,
        paid_fen=paid_fen,
        currency=bill.currency,
        expires_at=bill.expires_at,
        issued_at=bill.created_at,
        lines=[line_view(line) for line in lines],
        payments=[
            payment_view(a, bill, refunds, action_life_seconds=action_life(a), receipt=receipts.get(a.id))
            for a in attempts
        ],
        refunds=[refund_view(row, numbers.get(row.attempt_id, "")) for row in refunds if not _replaced(row, refunds)],
    )


def _replaced(refund: Refund, refunds: Sequence[Refund]) -> bool:
    """A failed refund that another has taken the place of is history, not something to wait for."""
    return refund.state == RefundState.FAILED and any(
        r.follows_id == refund.id and r.state != RefundState.DENIED for r in refunds
    )


def _bill_step(word: PublicStatus, attempts: Sequence[Attempt], refunds: Sequence[Refund]) -> str:
    """Whoever left the cashier without paying may go on with the same order; whoever paid must not be told to pay."""
    open_states = {a.state for a in attempts if a.state in ACTIVE}
    under_review = any(a.review_required for a in attempts if a.state in ACTIVE)
    if under_review:
        return _REVIEW
    stuck = [r for r in going_back(refunds) if r.state in (RefundState.FAILED, RefundState.ABNORMAL)]
    if stuck and word.status in ("refunding", "duplicated"):
        return NEXT_STEPS[RefundState(stuck[0].state)]
    if word.status == "ongoing" and open_states == {AttemptState.PENDING}:
        return "已发起支付，正在等待结果。如果刚才没有完成支付，可以继续支付同一笔订单"
    return word.next_step


def line_view(line: BillLine) -> BillLineView:
    """One line as people see it."""
    return BillLineView(
        fee_code=line.fee_code,
        name=line.name,
        quantity=line.quantity,
        price_fen=line.price_fen,
        amount_fen=line.amount_fen,
    )


def _usable_action(attempt: Attempt, life_seconds: int) -> ClientAction | None:
    if not action_usable(attempt, life_seconds) or attempt.client_action is None:
        return None
    return msgspec.json.decode(attempt.client_action, type=ClientAction)


def action_usable(attempt: Attempt, life_seconds: int) -> bool:
    """Whether the phone may still open the cashier with the stored action."""
    if attempt.state != AttemptState.PENDING or attempt.client_action_at is None or attempt.review_required:
        return False
    now = clock.now()
    return now < attempt.expires_at and (now - attempt.client_action_at).total_seconds() < life_seconds
