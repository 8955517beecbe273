"""Refunds of WeChat Pay: asking, asking about, sending an abnormal one on, and what answers and notices about them say."""

from collections.abc import Mapping
from typing import Any

from kernel import clock
from payments.gateways.base import EvidenceKind
from payments.gateways.refund_port import (
    RefundCapabilities,
    RefundDraft,
    RefundEvidence,
    RefundOrder,
    RefundOutcome,
    RepairDraft,
)
from payments.gateways.wechat_pay import errors, orders, signing
from payments.gateways.wechat_pay.client import Merchant, Reply, WeChatPayClient
from payments.gateways.wechat_pay.errors import Verdict

_REFUNDS = "/v3/refund/domestic/refunds"
_STATES = {
    "PROCESSING": RefundOutcome.PROCESSING,
    "SUCCESS": RefundOutcome.SUCCESS,
    "CLOSED": RefundOutcome.CLOSED,
    "ABNORMAL": RefundOutcome.ABNORMAL,
}


class WeChatPayRefunds:
    """The refund side of one merchant account. A 200 means accepted, not refunded: the outcome comes by query or notice."""

    capabilities = RefundCapabilities(
        most_days=365,
        most_parts=50,
        least_interval_seconds=60,
        first_query_seconds=60,
        can_repair_abnormal=True,
    )

    def __init__(self, *, client: WeChatPayClient, merchant: Merchant, notify_url: str) -> None:
        self._client, self._merchant, self._notify_url = client, merchant, notify_url

    def is_ours(self, evidence: RefundEvidence) -> bool:
        """Whether the merchant of a refund notice is ours; a notice names no application."""
        return evidence.merchant_id == self._merchant.mchid

    def body(self, draft: RefundDraft) -> bytes:
        """The body of a refund. `notify_url` is always sent: without it the merchant site's XML notice would come."""
        return orders.compact(
            {
                "transaction_id": draft.channel_txn_id,
                "out_refund_no": draft.refund_no,
                "reason": draft.reason,
                "notify_url": self._notify_url,
                "amount": {"refund": draft.amount_fen, "total": draft.paid_fen, "currency": draft.currency},
            }
        )

    async def send(self, order: RefundOrder) -> RefundEvidence:
        """Asks for the refund; the same number refunds once, so the identical request may be repeated."""
        reply = await self._client.call("POST", _REFUNDS, order.body, name="refund")
        errors.alarm(reply, "refund", order.refund_no)
        return self._written(order, reply)

    async def query(self, order: RefundOrder) -> RefundEvidence:
        """Asks about the refund by our number."""
        reply = await self._client.call("GET", f"{_REFUNDS}/{order.refund_no}", name="refund_query")
        verdict = errors.of_query(reply)
        if verdict is Verdict.NOT_FOUND:
            found = RefundOutcome.NOT_FOUND
            return _plain(order, EvidenceKind.QUERY, found, errors.why(reply), proven=reply.proven)
        if verdict is Verdict.DONE:
            return self._read(order, reply, EvidenceKind.QUERY)
        errors.alarm(reply, "refund_query", order.refund_no)
        return _plain(order, EvidenceKind.QUERY, RefundOutcome.NO_REPLY, errors.why(reply), proven=False)

    def repair_body(self, draft: RepairDraft) -> bytes:
        """The body of apply-abnormal-refund. Raises ValueError while no key of WeChat's is known to encrypt with."""
        content = {
            "out_refund_no": draft.refund_no,
            "type": "USER_BANK_CARD" if draft.account else "MERCHANT_BANK_CARD",
        }
        if draft.account:
            known = self._client.keys.for_encryption()
            if known is None:
                raise ValueError("no key to encrypt with")
            content["bank_type"] = draft.bank_type
            content["bank_account"] = signing.sealed_field(known[1], draft.account)
            content["real_name"] = signing.sealed_field(known[1], draft.holder)
        return orders.compact(content)

    async def repair_abnormal(self, order: RefundOrder, *, channel_refund_id: str, body: bytes) -> RefundEvidence:
        """Sends an ABNORMAL refund on; the path names WeChat's own refund id, the header the key of the encrypted fields."""
        known = self._client.keys.for_encryption()
        target = f"{_REFUNDS}/{channel_refund_id}/apply-abnormal-refund"
        reply = await self._client.call(
            "POST", target, body, name="abnormal_refund", serial=known[0] if known else None
        )
        errors.alarm(reply, "abnormal_refund", order.refund_no)
        return self._written(order, reply)

    def _written(self, order: RefundOrder, reply: Reply) -> RefundEvidence:
        """What the answer to a write is worth: only a signed one concludes."""
        kind, reason = EvidenceKind.REPLY, errors.why(reply)
        if not reply.sent:
            return _plain(order, kind, RefundOutcome.NOT_SENT, reason, proven=False)
        match errors.of_refund(reply):
            case Verdict.DONE:
                return self._read(order, reply, kind)
            case Verdict.REFUSED:
                return _plain(order, kind, RefundOutcome.REFUSED, reason, proven=True)
            case Verdict.NOT_ENOUGH:
                return _plain(order, kind, RefundOutcome.NOT_ENOUGH, reason, proven=True)
        return _plain(order, kind, RefundOutcome.NO_REPLY, reason, proven=False)

    def _read(self, order: RefundOrder, reply: Reply, kind: EvidenceKind) -> RefundEvidence:
        found = _evidence(
            reply.data, status=reply.data.get("status"), kind=kind, source_id="", raw_ref=reply.request_id
        )
        if found is None or found.refund_no != order.refund_no:
            return _plain(order, kind, RefundOutcome.NO_REPLY, "incomplete or another refund", proven=False)
        return found


def notice_evidence(plain: Mapping[str, Any], *, event_id: str) -> RefundEvidence | None:
    """What an opened refund notice says; here the state is called `refund_status`. None when it lacks what it always has."""
    return _evidence(
        plain,
        status=plain.get("refund_status"),
        kind=EvidenceKind.NOTICE,
        source_id=event_id,
        raw_ref=f"notice:{event_id}",
    )


def _evidence(
    data: Mapping[str, Any], *, status: Any, kind: EvidenceKind, source_id: str, raw_ref: str
) -> RefundEvidence | None:
    """An unknown state word is NO_REPLY, never a loss: the refund is asked about again."""
    refund_no, payment_no, refund_id = data.get("out_refund_no"), data.get("out_trade_no"), data.get("refund_id")
    amounts, merchant = data.get("amount"), data.get("mchid")
    if not all(isinstance(v, str) and v for v in (refund_no, payment_no, refund_id, status)):
        return None
    amount = amounts.get("refund") if isinstance(amounts, dict) else None
    if type(amount) is not int or amount <= 0 or not isinstance(amounts, dict):
        return None
    outcome, currency = _STATES.get(str(status), RefundOutcome.NO_REPLY), amounts.get("currency")
    return RefundEvidence(
        kind=kind,
        channel=orders.CHANNEL,
        refund_no=str(refund_no)[:64],
        payment_no=str(payment_no)[:64],
        outcome=outcome,
        observed_at=clock.now(),
        source_id=(source_id or f"{refund_no}:{status}")[:80],
        raw_ref=raw_ref[:80],
        channel_refund_id=str(refund_id)[:64],
        amount_fen=amount,
        currency=currency if isinstance(currency, str) else None,
        merchant_id=merchant if isinstance(merchant, str) else None,
        occurred_at=orders.instant(data.get("success_time")),
        reason="" if outcome is not RefundOutcome.NO_REPLY else f"unknown-state {str(status)[:40]}",
        proven=outcome is not RefundOutcome.NO_REPLY,
    )


def _plain(
    order: RefundOrder, kind: EvidenceKind, outcome: RefundOutcome, reason: str, *, proven: bool
) -> RefundEvidence:
    return RefundEvidence(
        kind=kind,
        channel=orders.CHANNEL,
        refund_no=order.refund_no,
        payment_no=order.payment_no,
        outcome=outcome,
        observed_at=clock.now(),
        source_id=f"{order.refund_no}:{outcome}",
        reason=reason[:120],
        proven=proven,
    )
