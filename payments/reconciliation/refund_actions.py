"""The first action on differences about refunds: ask the channel, and let the one door for refund evidence decide."""

from payments import refund_asking, refund_settlement, runtime
from payments.gateways.base import EvidenceKind
from payments.gateways.refund_port import RefundEvidence, RefundOrder, RefundOutcome
from payments.models import Attempt, Difference, Refund
from payments.reconciliation.findings import conclude
from payments.reconciliation.own_rows import is_taken
from payments.refund_states import RefundState

CLASSES = ("REFUND_CHANNEL_ONLY", "REFUND_LOCAL_ONLY")
_ENDS = {RefundOutcome.SUCCESS: RefundState.SUCCESS, RefundOutcome.CLOSED: RefundState.FAILED}


async def act(row: Difference) -> bool:
    """Works one difference; False when the channel gave no usable answer."""
    refund_no = row.key.rpartition(":")[2]
    refund = await Refund.get_or_none(refund_no=refund_no)
    if refund is None:
        return await _by_hand(row, refund_no)
    evidence = await _asked(refund)
    if evidence.outcome is RefundOutcome.NO_REPLY:
        return False
    await refund_settlement.apply_refund_evidence(evidence)
    refund = await Refund.get(refund_no=refund_no)
    if row.class_name == "REFUND_CHANNEL_ONLY":
        fixed = is_taken(refund.state, refund.channel_refund_id)
    else:  # the file says that it failed; the channel's answer of today is the newer word
        fixed = refund.state == _ENDS.get(evidence.outcome)
    await conclude(
        row, fixed=fixed, text="向渠道查询后已按查询结果处理" if fixed else f"渠道查询结果：{evidence.outcome}"
    )
    return True


async def _by_hand(row: Difference, refund_no: str) -> bool:
    """A refund that somebody made on the merchant site: nobody but a person knows why, so the channel's word is only noted."""
    attempt = await Attempt.get_or_none(payment_no=row.payment_no) if row.payment_no else None
    order = RefundOrder(
        refund_no=refund_no,
        payment_no=row.payment_no or "",
        channel_txn_id=(attempt.channel_txn_id or "") if attempt else "",
        amount_fen=row.theirs_fen or 0,
        currency="CNY",
        body=b"",
    )
    evidence = await runtime.gateway(row.channel).refunds.query(order)
    if evidence.outcome is RefundOutcome.NO_REPLY:
        return False
    known = evidence.proven and evidence.outcome is not RefundOutcome.NOT_FOUND
    text = "渠道证实，请查明原因后用 refund adopt 登记" if known else "账单有此退款，渠道查询却说没有"
    await conclude(row, fixed=False, text=text)
    return True


async def _asked(refund: Refund) -> RefundEvidence:
    order, port = await refund_asking.order_of(refund), runtime.gateway(refund.channel).refunds
    return await refund_asking.called(refund, EvidenceKind.QUERY, lambda: port.query(order))
