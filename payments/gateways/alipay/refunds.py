"""Refunds of Alipay. There is no notice for them: an answer or a later question tells, and `code=10000` alone tells nothing."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from kernel import clock
from payments.gateways.alipay import errors, orders, requests
from payments.gateways.alipay.client import AlipayClient
from payments.gateways.alipay.errors import Verdict
from payments.gateways.base import EvidenceKind
from payments.gateways.refund_port import (
    RefundCapabilities,
    RefundDraft,
    RefundEvidence,
    RefundOrder,
    RefundOutcome,
    RepairDraft,
)
from payments.money import CURRENCY, yuan_text

_MOST_REASON = 256


class AlipayRefunds:
    """The refund side of one merchant."""

    capabilities = RefundCapabilities(
        most_days=365,
        most_parts=50,
        least_interval_seconds=3,
        first_query_seconds=10,
        can_repair_abnormal=False,
    )

    def __init__(self, *, client: AlipayClient) -> None:
        self._client = client

    def is_ours(self, evidence: RefundEvidence) -> bool:
        """Answers name no merchant; they belong to whoever signed the question."""
        return evidence.merchant_id in (None, self._client.application.seller_id)

    def body(self, draft: RefundDraft) -> bytes:
        """The content of a refund. `out_request_no` is always there: it makes a repetition the same refund."""
        fields = {
            "out_trade_no": draft.payment_no,
            "refund_amount": yuan_text(draft.amount_fen),
            "out_request_no": draft.refund_no,
        }
        reason = draft.reason[:_MOST_REASON]
        return requests.content(requests.REFUND, fields | ({"refund_reason": reason} if reason else {}))

    async def send(self, order: RefundOrder) -> RefundEvidence:
        """Asks for the refund, or repeats it. Only `fund_change=Y` says that this refund moved money now."""
        reply = await self._client.call(requests.REFUND, order.body)
        errors.alarm(reply, requests.REFUND, order.refund_no)
        kind, reason = EvidenceKind.REPLY, errors.why(reply)
        if not reply.sent:
            return _said(order, kind, RefundOutcome.NOT_SENT, reason)
        match errors.of_refund(reply):
            case Verdict.DONE if not _is_about(reply.data, order):
                return _said(order, kind, RefundOutcome.NO_REPLY, "another trade")
            case Verdict.DONE if reply.data.get("fund_change") == "Y":
                at = orders.instant(reply.data.get("gmt_refund_pay"))
                # `refund_fee` is the running total of the trade: this refund's amount is not in the answer.
                return _said(order, kind, RefundOutcome.SUCCESS, proven=True, occurred_at=at)
            case Verdict.DONE:  # a repetition, or nothing moved: a question tells which
                return _said(order, kind, RefundOutcome.NO_REPLY, "no fund_change")
            case Verdict.REFUSED:
                return _said(order, kind, RefundOutcome.REFUSED, reason, proven=True)
            case Verdict.NOT_ENOUGH:
                return _said(order, kind, RefundOutcome.NOT_ENOUGH, reason, proven=True)
        return _said(order, kind, RefundOutcome.NO_REPLY, reason)

    async def query(self, order: RefundOrder) -> RefundEvidence:
        """Asks about the refund. An answer without a status is "not received, failed, or a wrong number": never a failure."""
        content = requests.content(
            requests.REFUND_QUERY,
            {
                "out_trade_no": order.payment_no,
                "out_request_no": order.refund_no,
                "query_options": ["gmt_refund_pay"],
            },
        )
        reply = await self._client.call(requests.REFUND_QUERY, content)
        kind = EvidenceKind.QUERY
        if errors.of_query(reply) is not Verdict.DONE:
            errors.alarm(reply, requests.REFUND_QUERY, order.refund_no)
            return _said(order, kind, RefundOutcome.NO_REPLY, errors.why(reply))
        status = reply.data.get("refund_status")
        if not status:
            return _said(order, kind, RefundOutcome.NOT_FOUND, "no refund_status", proven=True)
        amount = orders.fen(reply.data.get("refund_amount"))
        if status != "REFUND_SUCCESS":
            return _said(order, kind, RefundOutcome.NO_REPLY, f"unknown-state {str(status)[:40]}")
        if not _is_about(reply.data, order) or reply.data.get("out_request_no") != order.refund_no or not amount:
            return _said(order, kind, RefundOutcome.NO_REPLY, "incomplete or another refund")
        at = orders.instant(reply.data.get("gmt_refund_pay"))
        return _said(order, kind, RefundOutcome.SUCCESS, proven=True, amount_fen=amount, occurred_at=at)

    def repair_body(self, draft: RepairDraft) -> bytes:
        """Alipay knows no abnormal refunds."""
        raise ValueError("not offered by this channel")

    async def repair_abnormal(self, order: RefundOrder, *, channel_refund_id: str, body: bytes) -> RefundEvidence:
        """Alipay knows no abnormal refunds: nothing is sent."""
        return _said(order, EvidenceKind.REPLY, RefundOutcome.NOT_SENT, "not offered by this channel")


def _is_about(data: Mapping[str, Any], order: RefundOrder) -> bool:
    return data.get("out_trade_no") == order.payment_no


def _said(
    order: RefundOrder,
    kind: EvidenceKind,
    outcome: RefundOutcome,
    reason: str = "",
    *,
    proven: bool = False,
    amount_fen: int | None = None,
    occurred_at: datetime | None = None,
) -> RefundEvidence:
    return RefundEvidence(
        kind=kind,
        channel=orders.CHANNEL,
        refund_no=order.refund_no,
        payment_no=order.payment_no,
        outcome=outcome,
        observed_at=clock.now(),
        source_id=f"{order.refund_no}:{outcome}",
        amount_fen=amount_fen,
        currency=CURRENCY if amount_fen is not None else None,
        occurred_at=occurred_at,
        reason=reason[:120],
        proven=proven,
    )
