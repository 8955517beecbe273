"""Notices of WeChat Pay: the prescribed checks over the received bytes, opening, and the acknowledgements it expects."""

import json
from collections.abc import Mapping
from typing import Any

from payments.gateways.base import Ack, EvidenceKind, Refusal, Rejected, VerifiedNotice
from payments.gateways.wechat_pay import orders, refunds, signing
from payments.gateways.wechat_pay.client import Merchant, check_signature, parse_object
from payments.gateways.wechat_pay.keys import KeyTable

MOST_BYTES = 64 * 1024
_STATUS = {
    Refusal.NOT_STORED: 503,  # sends again
    Refusal.UNREADABLE: 500,  # sends again; our APIv3 key is wrong and somebody must look
    Refusal.FOREIGN: 403,
    Refusal.TOO_LARGE: 413,
}
_MESSAGE = {
    Refusal.NOT_STORED: "暂时无法处理",
    Refusal.UNREADABLE: "无法解密",
    Refusal.FOREIGN: "不是本商户的通知",
    Refusal.TOO_LARGE: "报文过大",
}


async def verify(
    keys: KeyTable, merchant: Merchant, headers: Mapping[str, str], raw: bytes
) -> VerifiedNotice | Rejected:
    """Headers, time, serial, base64, signature over `raw`; only then JSON, decryption and "is it for us"."""
    if len(raw) > MOST_BYTES:
        return Rejected(reason=Refusal.TOO_LARGE)
    lower = {name.lower(): value for name, value in headers.items()}
    names = ("wechatpay-timestamp", "wechatpay-nonce", "wechatpay-signature", "wechatpay-serial")
    values = [lower.get(name, "") for name in names]
    why = await check_signature(keys, *values, body=raw, kind=lower.get("wechatpay-signature-type"))
    if why:
        return Rejected(reason=Refusal(why), serial=values[3][:80])
    return open_notice(merchant, raw)


def open_notice(merchant: Merchant, raw: bytes) -> VerifiedNotice | Rejected:
    """Opens bytes whose signature was verified."""
    envelope = parse_object(raw)
    if envelope is None:
        return Rejected(reason=Refusal.NOT_JSON)
    event_id, event_type, resource = envelope.get("id"), envelope.get("event_type"), envelope.get("resource")
    if not (isinstance(event_id, str) and event_id and isinstance(event_type, str) and isinstance(resource, dict)):
        return Rejected(reason=Refusal.NOT_JSON, detail="envelope")
    plain = _plaintext(merchant, resource)
    if plain is None:
        return Rejected(reason=Refusal.UNREADABLE, detail=event_type[:40])
    return _notice(merchant, event_id[:80], event_type[:64], resource.get("original_type"), plain)


def ack(verdict: VerifiedNotice | Rejected) -> Ack:
    """204 without a body for what is stored; FAIL as JSON otherwise."""
    if isinstance(verdict, VerifiedNotice):
        return Ack(204, {}, b"")
    body = {"code": "FAIL", "message": _MESSAGE.get(verdict.reason, "验签失败")}
    return Ack(
        _STATUS.get(verdict.reason, 401),
        {"Content-Type": "application/json; charset=utf-8"},
        json.dumps(body, ensure_ascii=False).encode(),
    )


def _plaintext(merchant: Merchant, resource: Mapping[str, Any]) -> dict[str, Any] | None:
    nonce, ciphertext = resource.get("nonce"), resource.get("ciphertext")
    associated = resource.get("associated_data")
    if resource.get("algorithm") != "AEAD_AES_256_GCM" or not isinstance(nonce, str) or not isinstance(ciphertext, str):
        return None
    plain = signing.open_sealed(
        merchant.api_v3_key,
        nonce=nonce,
        associated_data=associated if isinstance(associated, str) else "",
        ciphertext=ciphertext,
    )
    return None if plain is None else parse_object(plain)


def _notice(
    merchant: Merchant, event_id: str, event_type: str, original: Any, plain: Mapping[str, Any]
) -> VerifiedNotice | Rejected:
    mchid, app_id = plain.get("mchid"), plain.get("appid")
    if original == "transaction" and event_type == "TRANSACTION.SUCCESS":
        evidence = orders.order_evidence(
            plain, kind=EvidenceKind.NOTICE, source_id=event_id, raw_ref=f"notice:{event_id}"
        )
        if evidence is not None:
            if (mchid, app_id) != (merchant.mchid, merchant.app_id):
                return Rejected(reason=Refusal.FOREIGN, detail=f"notice {event_id}")
            return VerifiedNotice(
                event_id=event_id, event_type=event_type, evidence=evidence, payment_no=evidence.payment_no
            )
    if original == "refund":  # it names no appid
        if mchid != merchant.mchid:
            return Rejected(reason=Refusal.FOREIGN, detail=f"notice {event_id}")
        return VerifiedNotice(
            event_id=event_id,
            event_type=event_type,
            evidence=None,
            refund=refunds.notice_evidence(plain, event_id=event_id),
            refund_no=_known(plain.get("out_refund_no")),
            payment_no=_known(plain.get("out_trade_no")),
        )
    # TRANSACTION.SUCCESS is also the event of other products (profit sharing, parking): taken note of, nothing else.
    return VerifiedNotice(event_id=event_id, event_type=event_type, evidence=None)


def _known(value: Any) -> str | None:
    return value[:64] if isinstance(value, str) and value else None
