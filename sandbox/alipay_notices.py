"""Asynchronous notices of the Alipay sandbox as bytes: built, signed, tampered with; when they are sent is decided elsewhere."""

import base64
import json
import secrets
from dataclasses import dataclass
from typing import Any

from sandbox.alipay_answers import flipped
from sandbox.alipay_keys import AlipayKeys
from sandbox.alipay_signing import codec, form, joined, sign
from sandbox.alipay_times import stamp, yuan
from sandbox.alipay_trades import buyer, fund_bills, total_fen
from sandbox.control import ControlError
from sandbox.store import Doc

TAMPERS = (
    *("none", "body_byte", "signature_byte", "other_key", "app_key", "sha1_as_rsa2", "sha1_as_rsa", "sha256_as_rsa"),
    *("old_key", "no_sign_type", "no_sign", "duplicate_field", "json", "encoded_twice"),
)
MODES = ("key", "cert")
SIGN_OVER = ("non_empty", "all", "with_sign_type")
EVENTS = ("WAIT_BUYER_PAY", "TRADE_SUCCESS", "TRADE_FINISHED", "TRADE_CLOSED", "refund")


@dataclass(frozen=True, kw_only=True)
class NoticeRequest:
    """A finished notice, ready for the wire."""

    headers: dict[str, str]
    body: bytes

    def view(self, url: str) -> Doc:
        """For the answer of a control verb."""
        return {
            "url": url,
            "headers": self.headers,
            "body": self.body.decode("utf-8", "replace"),
            "body_base64": base64.b64encode(self.body).decode(),
        }


def new_notify_id(now: float) -> str:
    """Constant across the repeats of one notice; a new cause has a new one."""
    return f"{stamp(now, '%Y%m%d')}00222{stamp(now, '%H%M%S')}{secrets.token_hex(8)}"


def trade_fields(trade: Doc, *, event: str, seller_id: str, refund: Doc | None, refunded_fen: int) -> dict[str, str]:
    """The plaintext of a notice without what is new in every send (`notify_time`, `sign`)."""
    request, payment = trade["request"], trade["payment"]
    status = ("TRADE_CLOSED" if trade["status"] == "TRADE_CLOSED" else "TRADE_SUCCESS") if event == "refund" else event
    total = total_fen(trade)
    fields = {
        "notify_type": "trade_status_sync",
        "app_id": trade["app_id"],
        "auth_app_id": trade["app_id"],
        "charset": trade["charset"],
        "version": "1.0",
        "trade_no": trade["trade_no"],
        "out_trade_no": trade["out_trade_no"],
        "trade_status": status,
        "total_amount": yuan(total),
        "seller_id": seller_id,
        "seller_email": "fin***@example.gov.cn",
        "subject": request["subject"],
        "gmt_create": stamp(trade["created_at"]),
        **{("buyer_id" if name == "buyer_user_id" else name): value for name, value in buyer(trade).items()},
        **{name: request[name] for name in ("body", "passback_params") if name in request},
    }
    if payment is not None:
        paid = yuan(total - payment["discount_fen"])
        fields |= {
            **dict.fromkeys(("receipt_amount", "buyer_pay_amount", "invoice_amount"), paid),
            "point_amount": "0.00",
            "gmt_payment": stamp(payment["at"]),
            "fund_bill_list": json.dumps(
                [{"amount": one["amount"], "fundChannel": one["fund_channel"]} for one in fund_bills(trade)],
                separators=(",", ":"),
            ),
        }
    if trade["closed_at"] is not None:
        fields["gmt_close"] = stamp(trade["closed_at"])
    if refund is not None and refund["finished_at"] is not None:
        fields |= {
            "gmt_refund": stamp(refund["finished_at"], "%Y-%m-%d %H:%M:%S.000"),
            "refund_fee": yuan(refunded_fen),
            "send_back_fee": yuan(refund["refund_fen"]),
            "out_biz_no": refund["out_request_no"],
        }
    return fields


def overridden(fields: dict[str, str], changes: dict[str, Any]) -> dict[str, str]:
    """Set fields before signing; null removes one, "" keeps it empty."""
    kept = {**fields, **{name: str(value) for name, value in changes.items() if value is not None}}
    return {name: value for name, value in kept.items() if changes.get(name, "") is not None}


def signed(
    keys: AlipayKeys,
    fields: dict[str, str],
    *,
    notify_id: str,
    now: float,
    over: str = "non_empty",
    tamper: str = "none",
) -> NoticeRequest:
    """Sign the fields as the partner would at this moment, then spoil what `tamper` names."""
    charset = fields.get("charset", "utf-8")
    encoding = codec(charset) or "utf-8"
    label = "RSA" if tamper in ("sha1_as_rsa", "sha256_as_rsa") else "RSA2"
    content = {"notify_time": stamp(now), "notify_id": notify_id, "sign_type": label, **fields}
    without = ("sign",) if over == "with_sign_type" else ("sign", "sign_type")
    base = joined(content, without=without, blanks=over != "non_empty").encode(encoding, "replace")
    key = keys.old_key() if tamper == "old_key" else keys.platform.key
    key = {"other_key": keys.foreign_key(), "app_key": keys.app.key}.get(tamper, key)
    signature = sign(key, base, sha1=tamper in ("sha1_as_rsa2", "sha1_as_rsa"))
    content["sign"] = flipped(signature) if tamper == "signature_byte" else signature
    headers = {"Content-Type": f"application/x-www-form-urlencoded; charset={charset}", "User-Agent": "Mozilla/4.0"}
    if tamper == "json":
        return NoticeRequest(
            headers={**headers, "Content-Type": "application/json"},
            body=json.dumps(content, ensure_ascii=False).encode(),
        )
    return NoticeRequest(headers=headers, body=form(_spoiled(content, tamper), encoding))


def check_wish(mode: str, tamper: str, over: str, event: str | None) -> None:
    """Raises ControlError for words that Alipay's notices do not know."""
    for name, value, known in (("mode", mode, MODES), ("sign_over", over, SIGN_OVER), ("event", event, EVENTS)):
        if value is not None and value not in known:
            raise ControlError(400, f"{name} 只能是{'、'.join(known)}")
    if tamper not in TAMPERS and not tamper.startswith("drop_field:"):
        raise ControlError(400, f"tamper 只能是{'、'.join(TAMPERS)} 或 drop_field:<字段>")


def _spoiled(content: dict[str, str], tamper: str) -> list[tuple[str, str]]:
    """The pairs that are sent: what is changed here is changed after the signature."""
    dropped = {"no_sign_type": "sign_type", "no_sign": "sign"}.get(tamper, tamper.partition("drop_field:")[2])
    pairs = [(name, value) for name, value in content.items() if name != dropped]
    if tamper == "body_byte":
        last = content["total_amount"][-1]
        other = content["total_amount"][:-1] + ("1" if last != "1" else "2")
        pairs = [(name, other if name == "total_amount" else value) for name, value in pairs]
    elif tamper == "duplicate_field":
        pairs.append(("total_amount", "0.01"))
    elif tamper == "encoded_twice":
        pairs = [(name, form([("", value)], "utf-8").decode()[1:]) for name, value in pairs]
    return pairs
