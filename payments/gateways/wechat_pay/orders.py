"""Between our orders and WeChat Pay's JSON: request bodies, order objects, notices. Pure; the truth of a message is decided elsewhere."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from kernel import clock
from payments.gateways.base import Evidence, EvidenceKind, OrderDraft, Outcome

CHANNEL = "wechat"
_MOST_DESCRIPTION = 120
_STATES = {
    "NOTPAY": Outcome.NOTPAY,
    "SUCCESS": Outcome.PAID,
    "REFUND": Outcome.PAID,  # a partly refunded order says REFUND: it was paid
    "CLOSED": Outcome.CLOSED,
}


def jsapi_body(draft: OrderDraft, *, mchid: str, app_id: str, notify_url: str) -> bytes:
    """The body of POST /v3/pay/transactions/jsapi. A repeat must be identical, so these bytes are stored before the first send."""
    return compact({**_order(draft, mchid, app_id, notify_url), "payer": {"openid": draft.payer_id}})


def h5_body(draft: OrderDraft, *, mchid: str, app_id: str, notify_url: str) -> bytes:
    """The body of POST /v3/pay/transactions/h5: no payer, but the address the phone comes from."""
    scene = {"payer_client_ip": draft.payer_address, "h5_info": {"type": "Wap"}}
    return compact({**_order(draft, mchid, app_id, notify_url), "scene_info": scene})


def _order(draft: OrderDraft, mchid: str, app_id: str, notify_url: str) -> dict[str, Any]:
    return {
        "appid": app_id,
        "mchid": mchid,
        "description": draft.description[:_MOST_DESCRIPTION],
        "out_trade_no": draft.payment_no,
        "time_expire": clock.local(draft.expires_at).isoformat(timespec="seconds"),
        "notify_url": notify_url,
        "amount": {"total": draft.amount_fen, "currency": draft.currency},
    }


def close_body(mchid: str) -> bytes:
    """The body of a close."""
    return compact({"mchid": mchid})


def order_evidence(
    data: Mapping[str, Any], *, kind: EvidenceKind, source_id: str | None, raw_ref: str
) -> Evidence | None:
    """What a verified order object says; None when it lacks what an order of ours always has.

    An unknown state word is NO_REPLY, never a loss: the order is asked about again.
    """
    number, merchant, app_id = data.get("out_trade_no"), data.get("mchid"), data.get("appid")
    state, amount = data.get("trade_state"), data.get("amount")
    if not all(isinstance(v, str) and v for v in (number, merchant, app_id, state)):
        return None
    outcome = _STATES.get(str(state), Outcome.NO_REPLY)
    txn_id = data.get("transaction_id")
    total = amount.get("total") if isinstance(amount, dict) else None
    if outcome is Outcome.PAID and not (isinstance(txn_id, str) and txn_id and type(total) is int and total > 0):
        return None
    payer = data.get("payer")
    return Evidence(
        kind=kind,
        channel=CHANNEL,
        payment_no=str(number)[:64],
        outcome=outcome,
        observed_at=clock.now(),
        source_id=(source_id or f"{number}:{txn_id or state}")[:80],
        raw_ref=raw_ref[:80],
        channel_txn_id=txn_id[:64] if isinstance(txn_id, str) and txn_id else None,
        amount_fen=total if type(total) is int else None,
        currency=_text(amount.get("currency"), "CNY") if isinstance(amount, dict) else None,
        merchant_id=str(merchant),
        app_id=str(app_id),
        payer_id=_text(payer.get("openid"), "") or None if isinstance(payer, dict) else None,
        occurred_at=instant(data.get("success_time")),
        reason="" if outcome is not Outcome.NO_REPLY else f"unknown-state {str(state)[:40]}",
    )


def no_reply(payment_no: str, kind: EvidenceKind, reason: str) -> Evidence:
    """Nothing is known; `reason` says why, in words fit for a log."""
    return _plain(payment_no, kind, Outcome.NO_REPLY, reason)


def not_sent(payment_no: str, reason: str) -> Evidence:
    """Nothing left this machine."""
    return _plain(payment_no, EvidenceKind.REPLY, Outcome.NOT_SENT, reason)


def not_found(payment_no: str, reason: str, *, proven: bool) -> Evidence:
    """WeChat says it has no such number; `proven` when it signed that."""
    return replace(_plain(payment_no, EvidenceKind.QUERY, Outcome.NOT_FOUND, reason), proven=proven)


def refused(payment_no: str, reason: str) -> Evidence:
    """WeChat provably refused the order."""
    return _plain(payment_no, EvidenceKind.REPLY, Outcome.REFUSED, reason)


def accepted(payment_no: str, action: Mapping[str, str], raw_ref: str) -> Evidence:
    """WeChat has the order; `action` is what the phone needs."""
    return Evidence(
        kind=EvidenceKind.REPLY,
        channel=CHANNEL,
        payment_no=payment_no,
        outcome=Outcome.ACCEPTED,
        observed_at=clock.now(),
        source_id=f"{payment_no}:accepted",
        raw_ref=raw_ref[:80],
        client_action=action,
    )


def _plain(payment_no: str, kind: EvidenceKind, outcome: Outcome, reason: str) -> Evidence:
    return Evidence(
        kind=kind,
        channel=CHANNEL,
        payment_no=payment_no,
        outcome=outcome,
        observed_at=clock.now(),
        source_id=f"{payment_no}:{outcome}",
        reason=reason[:120],
        proven=outcome is Outcome.REFUSED,
    )


def compact(value: Mapping[str, Any]) -> bytes:
    """JSON without spaces, as the bytes that are stored, signed and sent."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _text(value: Any, missing: str) -> str:
    return value if isinstance(value, str) else missing


def instant(value: Any) -> datetime | None:
    """An RFC 3339 time with its offset, or None."""
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return parsed if parsed is not None and parsed.tzinfo is not None else None
