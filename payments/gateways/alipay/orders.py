"""Between our orders and Alipay's fields: business content, trades in answers and notices. Pure; their truth is decided elsewhere."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from kernel import clock
from payments.gateways.alipay import requests
from payments.gateways.base import Evidence, EvidenceKind, OrderDraft, Outcome
from payments.money import CURRENCY, fen_from_yuan, yuan_text

CHANNEL = "alipay"
WAP, MINI = "wap", "mini"
_MOST_SUBJECT = 256
# Refused in a subject; in a notice they would also blur where one field ends and the next begins.
_SUBJECT_SIGNS = str.maketrans({"/": "／", "=": "＝", "&": "＆"})
_STATES = {
    "WAIT_BUYER_PAY": Outcome.NOTPAY,
    "TRADE_SUCCESS": Outcome.PAID,
    "TRADE_FINISHED": Outcome.PAID,  # paid, and too old to be refunded
    "TRADE_CLOSED": Outcome.CLOSED,
}


def wap_content(draft: OrderDraft, *, quit_url: str) -> bytes:
    """The content of a page that the phone opens itself."""
    fields = {**_order(draft), "product_code": "QUICK_WAP_WAY"}
    return requests.content(requests.WAP_PAY, fields | ({"quit_url": quit_url} if quit_url else {}))


def mini_content(draft: OrderDraft, *, mini_app_id: str) -> bytes:
    """The content of an order for the Alipay mini-program."""
    payer = {"op_app_id": mini_app_id, "buyer_open_id": draft.payer_id}
    return requests.content(requests.CREATE, {**_order(draft), "product_code": "JSAPI_PAY", **payer})


def by_number(method: str, payment_no: str) -> bytes:
    """The content of a call that only names our number."""
    return requests.content(method, {"out_trade_no": payment_no})


def trade_evidence(
    data: Mapping[str, Any], *, kind: EvidenceKind, source_id: str | None, raw_ref: str
) -> Evidence | None:
    """What a verified trade says; None when it lacks what a trade of ours always has.

    TRADE_CLOSED with a payment date was paid and then refunded in full. An unknown state word is NO_REPLY, never a loss.
    """
    number, state, txn_id = data.get("out_trade_no"), data.get("trade_status"), data.get("trade_no")
    if not all(isinstance(value, str) and value for value in (number, state)):
        return None
    paid_at = instant(data.get("send_pay_date") or data.get("gmt_payment"))
    outcome = _STATES.get(str(state), Outcome.NO_REPLY)
    if outcome is Outcome.CLOSED and paid_at is not None:
        outcome = Outcome.PAID
    amount = fen(data.get("total_amount"))
    if outcome is Outcome.PAID and not (isinstance(txn_id, str) and txn_id and amount):
        return None
    merchant, app_id = data.get("seller_id"), data.get("app_id")
    payer = data.get("buyer_open_id")
    return Evidence(
        kind=kind,
        channel=CHANNEL,
        payment_no=str(number)[:64],
        outcome=outcome,
        observed_at=clock.now(),
        source_id=(source_id or f"{number}:{txn_id if outcome is Outcome.PAID else state}")[:80],
        raw_ref=raw_ref[:80],
        channel_txn_id=txn_id[:64] if isinstance(txn_id, str) and txn_id else None,
        amount_fen=amount,
        currency=CURRENCY if amount is not None else None,
        merchant_id=merchant if isinstance(merchant, str) else None,
        app_id=app_id if isinstance(app_id, str) else None,
        payer_id=payer if isinstance(payer, str) and payer else None,
        occurred_at=paid_at if outcome is Outcome.PAID else None,
        reason="" if outcome is not Outcome.NO_REPLY else f"unknown-state {str(state)[:40]}",
    )


def said(payment_no: str, kind: EvidenceKind, outcome: Outcome, reason: str = "", *, proven: bool = False) -> Evidence:
    """A statement without content: not sent, no reply, not found, refused."""
    return Evidence(
        kind=kind,
        channel=CHANNEL,
        payment_no=payment_no,
        outcome=outcome,
        observed_at=clock.now(),
        source_id=f"{payment_no}:{outcome}",
        reason=reason[:120],
        proven=proven,
    )


def accepted(payment_no: str, action: Mapping[str, str]) -> Evidence:
    """The phone can go on with `action`."""
    return replace(said(payment_no, EvidenceKind.REPLY, Outcome.ACCEPTED, proven=True), client_action=action)


def fen(value: Any) -> int | None:
    """An amount of Alipay's in fen; None for anything but a plain amount of yuan."""
    try:
        return fen_from_yuan(value) if isinstance(value, str) else None
    except ValueError:
        return None


def instant(value: Any) -> datetime | None:
    """A time of Alipay's: Beijing time without an offset, sometimes with a fraction."""
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return parsed.replace(tzinfo=clock.SHANGHAI) if parsed is not None and parsed.tzinfo is None else None


def _order(draft: OrderDraft) -> dict[str, str]:
    return {
        "out_trade_no": draft.payment_no,
        "total_amount": yuan_text(draft.amount_fen),
        "subject": draft.description.translate(_SUBJECT_SIGNS)[:_MOST_SUBJECT],
        "time_expire": clock.local(draft.expires_at).strftime("%Y-%m-%d %H:%M:%S"),
    }
