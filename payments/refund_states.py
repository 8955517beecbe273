"""State table of a refund (退款单), the causes of refunds with their Chinese words, and what counts as money set aside. No rows here."""

from dataclasses import dataclass
from enum import StrEnum

from kernel.state_machine import Edge, Label, Machine
from payments.states import CHANNEL, OPERATOR, SYSTEM, UNIT


class RefundState(StrEnum):
    """Internal states of a refund."""

    REQUESTED = "requested"
    APPROVED = "approved"
    DENIED = "denied"
    SENDING = "sending"
    UNKNOWN = "unknown"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"
    ABNORMAL = "abnormal"
    SUCCESS_OFFLINE = "success_offline"


class RefundAction(StrEnum):
    """What may happen to a refund."""

    APPROVE = "approve"
    DENY = "deny"
    SEND = "send"
    ADOPT = "adopt"
    IMPOSSIBLE = "impossible"
    ACCEPTED = "accepted"
    SUCCESS = "success"
    NO_REPLY = "no_reply"
    NOT_SENT = "not_sent"
    NOT_FOUND = "not_found"
    NOT_ENOUGH = "not_enough"
    DEFINITE_REJECT = "definite_reject"
    CLOSED = "closed"
    ABNORMAL = "abnormal"
    APPLY_ABNORMAL = "apply_abnormal"
    OFFLINE = "offline"
    CORRECTION = "correction"


_R, _RA = RefundState, RefundAction
_DECIDES = frozenset({UNIT, SYSTEM, OPERATOR})
_PROOF = frozenset({CHANNEL, OPERATOR})
_CHANNEL, _OURS, _PERSON = frozenset({CHANNEL}), frozenset({SYSTEM}), frozenset({OPERATOR})

LIVE: tuple[RefundState, ...] = (_R.SENDING, _R.UNKNOWN, _R.PROCESSING)
SUCCEEDED: tuple[RefundState, ...] = (_R.SUCCESS, _R.SUCCESS_OFFLINE)
# A refund in these states takes nothing from what may still be given back; in all others it counts against the limit.
FREE: tuple[RefundState, ...] = (_R.DENIED, _R.FAILED)
# Approved and not over: the amount stands on `refund:reserved`.
RESERVED: tuple[RefundState, ...] = (_R.APPROVED, *LIVE, _R.ABNORMAL)

_OFFLINE_NEXT = "退款没有到账，收款单位正在处理，会与您联系"

REFUND = Machine(
    "refund",
    edges=[
        Edge(_R.REQUESTED, _RA.APPROVE, _R.APPROVED, _DECIDES),
        Edge(_R.REQUESTED, _RA.DENY, _R.DENIED, _DECIDES),
        # Nothing has been sent yet, so a mistake can still be taken back and the money is free again.
        Edge(_R.APPROVED, _RA.DENY, _R.DENIED, _DECIDES),
        Edge(_R.APPROVED, _RA.SEND, _R.SENDING, _OURS),
        # Made on the merchant site and approved afterwards: never sent by us, only asked about.
        Edge(_R.APPROVED, _RA.ADOPT, _R.UNKNOWN, _OURS),
        # The channel cannot do it (too old, too many parts) or a person chose the bank: the money stays reserved.
        Edge(_R.APPROVED, _RA.IMPOSSIBLE, _R.ABNORMAL, _OURS),
        Edge(_R.SENDING, _RA.ACCEPTED, _R.PROCESSING, _CHANNEL),
        Edge(_R.SENDING, _RA.SUCCESS, _R.SUCCESS, _PROOF),
        Edge(_R.SENDING, _RA.NO_REPLY, _R.UNKNOWN, _CHANNEL),
        Edge(_R.SENDING, _RA.NOT_SENT, _R.SENDING, _CHANNEL),
        Edge(_R.SENDING, _RA.NOT_ENOUGH, _R.SENDING, _CHANNEL),
        Edge(_R.SENDING, _RA.DEFINITE_REJECT, _R.FAILED, _CHANNEL),
        Edge(_R.SENDING, _RA.CLOSED, _R.FAILED, _PROOF),
        Edge(_R.SENDING, _RA.ABNORMAL, _R.ABNORMAL, _PROOF),
        Edge(_R.UNKNOWN, _RA.NOT_FOUND, _R.SENDING, _CHANNEL),
        Edge(_R.UNKNOWN, _RA.ACCEPTED, _R.PROCESSING, _CHANNEL),
        Edge(_R.UNKNOWN, _RA.SUCCESS, _R.SUCCESS, _PROOF),
        Edge(_R.UNKNOWN, _RA.CLOSED, _R.FAILED, _PROOF),
        Edge(_R.UNKNOWN, _RA.ABNORMAL, _R.ABNORMAL, _PROOF),
        Edge(_R.PROCESSING, _RA.SUCCESS, _R.SUCCESS, _PROOF),
        Edge(_R.PROCESSING, _RA.CLOSED, _R.FAILED, _PROOF),
        Edge(_R.PROCESSING, _RA.ABNORMAL, _R.ABNORMAL, _PROOF),
        Edge(_R.ABNORMAL, _RA.APPLY_ABNORMAL, _R.PROCESSING, _PERSON),
        Edge(_R.ABNORMAL, _RA.OFFLINE, _R.SUCCESS_OFFLINE, _PERSON),
        Edge(_R.ABNORMAL, _RA.SUCCESS, _R.SUCCESS, _PROOF),
        # The only way back from an end: the channel proves that it paid after all. Always raises a difference.
        Edge(_R.FAILED, _RA.CORRECTION, _R.SUCCESS, _PROOF),
    ],
    labels={
        _R.REQUESTED: Label("refunding", "退款申请待审核", False),
        _R.APPROVED: Label("refunding", "退款已批准，即将退回", False),
        _R.DENIED: Label("paid", "退款申请未通过", True),
        _R.SENDING: Label("refunding", "正在退款", False),
        _R.UNKNOWN: Label("refunding", "正在向支付渠道核实退款", False),
        _R.PROCESSING: Label("refunding", "支付渠道正在退款", False),
        _R.SUCCESS: Label("refunded", "已原路退回", True),
        _R.FAILED: Label("refunding", "退款没有成功，收款单位将重新办理", False),
        _R.ABNORMAL: Label("refunding", "退款没有到账，收款单位正在处理", False),
        _R.SUCCESS_OFFLINE: Label("refunded", "已线下退款", True),
    },
)

NEXT_STEPS: dict[RefundState, str] = {
    _R.REQUESTED: "收款单位正在审核您的退款申请，结果会通知您",
    _R.DENIED: "退款申请没有通过，如有疑问请联系收款单位",
    _R.FAILED: "退款没有成功，收款单位会重新办理，您无需操作",
    _R.ABNORMAL: _OFFLINE_NEXT,
    _R.SUCCESS: "款项已退回原支付账户，如未收到请联系收款单位",
    _R.SUCCESS_OFFLINE: "收款单位已线下退款，如未收到请联系收款单位",
}


@dataclass(frozen=True)
class Cause:
    """Why money goes back: its word for people and whether it is owed by rule, so that nobody decides about it."""

    label: str
    automatic: bool = False


CAUSES: dict[str, Cause] = {
    "surplus": Cause("重复缴费", automatic=True),
    "late": Cause("缴费单失效后到账", automatic=True),
    "withdrawal": Cause("事项已撤回或未办成", automatic=True),
    "request": Cause("缴费人申请退费"),
    "transfer": Cause("转出或变更"),
    "mistake": Cause("缴费有误"),
    "operator": Cause("收款单位退费"),
}
