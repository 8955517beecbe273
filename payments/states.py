"""State tables of bill and attempt, the public payment vocabulary, and the derivation of a bill's state. No rows here."""

from dataclasses import dataclass
from enum import StrEnum

from kernel.state_machine import Edge, Label, Machine

# Who moves a state: the payer, the collecting unit, a verified statement of the channel, our own timers, a named operator.
PAYER, UNIT, CHANNEL, SYSTEM, OPERATOR = "payer", "unit", "channel", "system", "operator"
_OURS = frozenset({UNIT, SYSTEM, OPERATOR})
_PROOF = frozenset({CHANNEL, OPERATOR})
_ANY = frozenset({PAYER, UNIT, CHANNEL, SYSTEM, OPERATOR})


@dataclass(frozen=True)
class PublicStatus:
    """One word of the public vocabulary: stable code, Chinese label, whether it is an end, and what the person does next."""

    status: str
    label: str
    finished: bool
    next_step: str


# The whole public vocabulary; channel words never reach the phone.
VOCABULARY: dict[str, PublicStatus] = {
    word.status: word
    for word in (
        PublicStatus("unpaid", "待缴费", False, "请在截止时间前完成缴费"),
        PublicStatus("ongoing", "缴费处理中", False, "正在向支付渠道核实，请勿重复支付"),
        PublicStatus("paid", "已缴费", True, "缴费已完成，无需再次缴费"),
        PublicStatus("duplicated", "重复缴费", False, "您已缴费成功，多付的款项正在原路退回，您无需操作"),
        PublicStatus("expired", "已过期", False, "缴费期限已过，请联系办事窗口重新开通"),
        PublicStatus("unavailable", "暂不能缴费", False, "缴费单尚未开放，请稍后再看"),
        PublicStatus("cancelled", "已取消", True, "这笔缴费已取消，无需缴费"),
        PublicStatus(
            "refunding", "退款中", False, "款项正在原路退回，零钱一般几分钟、银行卡一般 1 至 3 个工作日到账，您无需操作"
        ),
        PublicStatus("refunded", "已退款", True, "款项已退还，如未收到请联系收款单位"),
        PublicStatus("part_paid", "部分缴费", False, "请继续缴纳剩余金额"),
        PublicStatus("part_refunded", "部分退款", True, "部分款项已退还，如未收到请联系收款单位"),
        PublicStatus("waived", "免缴", True, "无需缴费"),
    )
}


class BillState(StrEnum):
    """Internal states of a bill (缴费单); derived from the ledger, never chosen."""

    DRAFT = "draft"
    OPEN = "open"
    PART_PAID = "part_paid"
    PAID = "paid"
    WAIVED = "waived"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    PART_REFUNDED = "part_refunded"
    REFUNDED = "refunded"


class BillAction(StrEnum):
    """What may happen to a bill."""

    PUBLISH = "publish"
    WAIVE_FULL = "waive_full"
    PAY_PART = "pay_part"
    PAY_FULL = "pay_full"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    REOPEN = "reopen"
    LATE_PAY = "late_pay"
    REFUND_PART = "refund_part"
    REFUND_FULL = "refund_full"


_B, _BA = BillState, BillAction

BILL = Machine(
    "bill",
    edges=[
        Edge(_B.DRAFT, _BA.PUBLISH, _B.OPEN, _OURS),
        Edge(_B.DRAFT, _BA.WAIVE_FULL, _B.WAIVED, _OURS),
        Edge(_B.DRAFT, _BA.WITHDRAW, _B.WITHDRAWN, _OURS),
        Edge(_B.OPEN, _BA.WAIVE_FULL, _B.WAIVED, _OURS),
        Edge(_B.OPEN, _BA.PAY_PART, _B.PART_PAID, _PROOF),
        Edge(_B.OPEN, _BA.PAY_FULL, _B.PAID, _PROOF),
        Edge(_B.PART_PAID, _BA.PAY_FULL, _B.PAID, _PROOF),
        Edge(_B.OPEN, _BA.WITHDRAW, _B.WITHDRAWN, _OURS),
        Edge(_B.OPEN, _BA.EXPIRE, _B.EXPIRED, _OURS),
        Edge(_B.EXPIRED, _BA.REOPEN, _B.OPEN, _OURS),
        # A matter that is given up after its bill expired: without this edge late money could still settle a dead bill.
        Edge(_B.EXPIRED, _BA.WITHDRAW, _B.WITHDRAWN, _OURS),
        Edge(_B.EXPIRED, _BA.LATE_PAY, _B.PAID, _PROOF),
        Edge(_B.PAID, _BA.REFUND_PART, _B.PART_REFUNDED, _PROOF),
        Edge(_B.PART_REFUNDED, _BA.REFUND_PART, _B.PART_REFUNDED, _PROOF),
        Edge(_B.PAID, _BA.REFUND_FULL, _B.REFUNDED, _PROOF),
        Edge(_B.PART_REFUNDED, _BA.REFUND_FULL, _B.REFUNDED, _PROOF),
        Edge(_B.PART_PAID, _BA.REFUND_FULL, _B.OPEN, _PROOF),
    ],
    labels={
        _B.DRAFT: Label("unavailable", "尚未开放", False),
        _B.OPEN: Label("unpaid", "待缴费", False),
        _B.PART_PAID: Label("part_paid", "部分缴费", False),
        _B.PAID: Label("paid", "已缴费", True),
        _B.WAIVED: Label("waived", "免缴", True),
        _B.WITHDRAWN: Label("cancelled", "已取消", True),
        _B.EXPIRED: Label("expired", "已过期", False),
        _B.PART_REFUNDED: Label("part_refunded", "部分退款", True),
        _B.REFUNDED: Label("refunded", "已退款", True),
    },
)


class AttemptState(StrEnum):
    """Internal states of an attempt (支付单): one try to pay one bill through one channel."""

    CREATED = "created"
    SENDING = "sending"
    UNKNOWN = "unknown"
    PENDING = "pending"
    CLOSING = "closing"
    PAID = "paid"
    REJECTED = "rejected"
    CLOSED = "closed"
    PART_REFUNDED = "part_refunded"
    REFUNDED = "refunded"


class AttemptAction(StrEnum):
    """What may happen to an attempt; names of the channel's answers, not of our wishes, except send, abandon and want_close."""

    SEND = "send"
    ABANDON = "abandon"
    ACCEPTED = "accepted"
    NOT_SENT = "not_sent"
    NO_REPLY = "no_reply"
    DEFINITE_REJECT = "definite_reject"
    FOUND_NOTPAY = "found_notpay"
    NOT_FOUND = "not_found"
    FOUND_CLOSED = "found_closed"
    WANT_CLOSE = "want_close"
    CLOSED = "closed"
    PAID = "paid"
    CORRECTION = "correction"
    REFUND_PART = "refund_part"
    REFUND_FULL = "refund_full"


_A, _AA = AttemptState, AttemptAction

ACTIVE: tuple[AttemptState, ...] = (_A.CREATED, _A.SENDING, _A.UNKNOWN, _A.PENDING, _A.CLOSING)
SETTLED: tuple[AttemptState, ...] = (_A.PAID, _A.PART_REFUNDED, _A.REFUNDED)

ATTEMPT = Machine(
    "attempt",
    edges=[
        Edge(_A.CREATED, _AA.SEND, _A.SENDING, frozenset({PAYER, SYSTEM})),
        Edge(_A.CREATED, _AA.ABANDON, _A.CLOSED, _OURS | {PAYER, CHANNEL}),
        Edge(_A.SENDING, _AA.ACCEPTED, _A.PENDING, frozenset({CHANNEL})),
        # Certainly nothing left this machine, now or earlier: without this edge an outage of the channel would leave attempts
        # unknown that nobody can know anything about.
        Edge(_A.SENDING, _AA.NOT_SENT, _A.CREATED, frozenset({CHANNEL})),
        Edge(_A.SENDING, _AA.NO_REPLY, _A.UNKNOWN, frozenset({CHANNEL, SYSTEM})),
        Edge(_A.SENDING, _AA.DEFINITE_REJECT, _A.REJECTED, frozenset({CHANNEL})),
        Edge(_A.UNKNOWN, _AA.FOUND_NOTPAY, _A.PENDING, frozenset({CHANNEL})),
        Edge(_A.UNKNOWN, _AA.NOT_FOUND, _A.SENDING, frozenset({CHANNEL, SYSTEM})),
        Edge(_A.UNKNOWN, _AA.PAID, _A.PAID, _PROOF),
        Edge(_A.UNKNOWN, _AA.FOUND_CLOSED, _A.CLOSED, _PROOF),
        Edge(_A.PENDING, _AA.PAID, _A.PAID, _PROOF),
        Edge(_A.PENDING, _AA.WANT_CLOSE, _A.CLOSING, _ANY),
        Edge(_A.PENDING, _AA.FOUND_CLOSED, _A.CLOSED, _PROOF),
        Edge(_A.CLOSING, _AA.CLOSED, _A.CLOSED, _PROOF),
        Edge(_A.CLOSING, _AA.FOUND_CLOSED, _A.CLOSED, _PROOF),
        Edge(_A.CLOSING, _AA.PAID, _A.PAID, _PROOF),
        Edge(_A.CLOSING, _AA.NO_REPLY, _A.CLOSING, frozenset({CHANNEL, SYSTEM})),
        Edge(_A.CREATED, _AA.PAID, _A.PAID, _PROOF),
        Edge(_A.SENDING, _AA.PAID, _A.PAID, _PROOF),
        # The only way back from an end: the channel proves that money came after all. Always raises a difference.
        Edge(_A.CLOSED, _AA.CORRECTION, _A.PAID, _PROOF),
        Edge(_A.REJECTED, _AA.CORRECTION, _A.PAID, _PROOF),
        Edge(_A.PAID, _AA.REFUND_PART, _A.PART_REFUNDED, _PROOF),
        Edge(_A.PART_REFUNDED, _AA.REFUND_PART, _A.PART_REFUNDED, _PROOF),
        Edge(_A.PAID, _AA.REFUND_FULL, _A.REFUNDED, _PROOF),
        Edge(_A.PART_REFUNDED, _AA.REFUND_FULL, _A.REFUNDED, _PROOF),
    ],
    labels={
        _A.CREATED: Label("ongoing", "正在发起支付", False),
        _A.SENDING: Label("ongoing", "正在发起支付", False),
        _A.UNKNOWN: Label("ongoing", "正在向支付渠道核实，请勿重复支付", False),
        _A.PENDING: Label("ongoing", "等待支付", False),
        _A.CLOSING: Label("ongoing", "正在取消支付", False),
        _A.PAID: Label("paid", "已支付", True),
        _A.REJECTED: Label("unpaid", "未支付，可以重新发起", True),
        _A.CLOSED: Label("cancelled", "已关闭，未支付", True),
        _A.PART_REFUNDED: Label("part_refunded", "部分退款", True),
        _A.REFUNDED: Label("refunded", "已退款", True),
    },
)


@dataclass(frozen=True, kw_only=True)
class BillFacts:
    """What a bill's state is derived from. Amounts in fen: `paid` = applied − reopened, `back` = other refunds that succeeded."""

    published: bool
    withdrawn: bool
    expired: bool
    due_fen: int
    paid_fen: int
    back_fen: int = 0


def derive_bill_state(facts: BillFacts) -> BillState:
    """The one state these facts mean."""
    if facts.withdrawn:
        return BillState.WITHDRAWN
    if not facts.published:
        return BillState.DRAFT
    if facts.due_fen == 0 and facts.paid_fen == 0:
        return BillState.WAIVED
    if facts.paid_fen == 0:
        return BillState.EXPIRED if facts.expired else BillState.OPEN
    if facts.paid_fen < facts.due_fen:
        return BillState.PART_PAID
    if facts.back_fen == 0:
        return BillState.PAID
    return BillState.PART_REFUNDED if facts.back_fen < min(facts.paid_fen, facts.due_fen) else BillState.REFUNDED


def bill_action(source: BillState, target: BillState) -> BillAction | None:
    """The action that leads from one derived state to the next; None when nothing changed.

    Raises LookupError when the table has no such edge: the derivation and the table must never disagree.
    """
    if source == target:
        return None
    for edge in BILL.edges:
        if edge.source == source and edge.target == target:
            return BillAction(edge.action)
    raise LookupError(f"bill: no edge from {source} to {target}")
