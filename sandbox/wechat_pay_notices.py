"""Notices of the WeChat Pay sandbox as bytes: built, signed, tampered with; when they are sent is decided elsewhere."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.control import ControlError
from sandbox.store import Doc
from sandbox.wechat_pay_keys import Signer, WechatPayKeys
from sandbox.wechat_pay_signing import probe_signature, random_text, request_id, seal, signed_headers
from sandbox.wechat_pay_times import rfc3339

_SUMMARIES = {
    "TRANSACTION.SUCCESS": "支付成功",
    "REFUND.SUCCESS": "退款成功",
    "REFUND.ABNORMAL": "退款异常",
    "REFUND.CLOSED": "退款关闭",
}
TAMPERS = (
    *("none", "body_byte", "body_space", "reserialise", "signature_byte", "signtest", "other_key", "unknown_serial"),
    *("swapped_nonce", "other_signature_type", "wrong_apiv3_key", "xml_v2"),
)
MODES = ("public_key", "certificate")


@dataclass(frozen=True, kw_only=True)
class NoticeRequest:
    """A finished notice, ready for the wire."""

    headers: dict[str, str]
    body: bytes

    def view(self, url: str) -> Doc:
        return {
            "url": url,
            "headers": self.headers,
            "body": self.body.decode("utf-8", "replace"),
            "body_base64": base64.b64encode(self.body).decode(),
        }


def envelope(
    keys: WechatPayKeys,
    *,
    event: str,
    original_type: str,
    plaintext: Doc,
    now: float,
    event_id: str | None = None,
    foreign_key: bool = False,
) -> bytes:
    """The JSON body of a notice with the sealed resource in it."""
    sealing_key = random_text(32) if foreign_key else keys.apiv3_key
    resource = seal(sealing_key, _compact(plaintext), associated_data=original_type)
    return _compact(
        {
            "id": event_id or new_event_id(),
            "create_time": rfc3339(now),
            "resource_type": "encrypt-resource",
            "event_type": event,
            "summary": _SUMMARIES.get(event, "通知"),
            "resource": {"original_type": original_type, **resource},
        }
    )


def new_event_id() -> str:
    return f"EV-{random_text(8, '0123456789')}-{random_text(23, '0123456789')}"


def signed(
    keys: WechatPayKeys, body: bytes, *, mode: str, now: float, skew_s: float = 0, tamper: str = "none"
) -> NoticeRequest:
    """Sign a body as the partner would at this moment, then spoil what `tamper` names."""
    right, wrong = _signers(keys, mode)
    stamp = int(now + skew_s)
    if tamper == "xml_v2":
        return NoticeRequest(headers={"Content-Type": "text/xml"}, body=_XML_V2)
    headers = signed_headers(wrong if tamper == "other_key" else right, body, now=stamp, announce=right.serial)
    if tamper == "signtest":
        headers["Wechatpay-Signature"] = probe_signature()
    elif tamper == "signature_byte":
        headers["Wechatpay-Signature"] = _flip_signature(headers["Wechatpay-Signature"])
    elif tamper == "unknown_serial":
        prefix = "PUB_KEY_ID_" if mode == "public_key" else ""
        headers["Wechatpay-Serial"] = prefix + random_text(40 - len(prefix), "123456789ABCDEF")
    elif tamper == "swapped_nonce":
        headers["Wechatpay-Nonce"] = random_text(32)
    elif tamper == "other_signature_type":
        headers["Wechatpay-Signature-Type"] = "WECHATPAY2-SM2-WITH-SM3"
    elif tamper.startswith("drop_header:"):
        name = tamper.partition(":")[2].lower()
        headers = {key: value for key, value in headers.items() if key.lower() != name}
    headers |= {
        "Content-Type": "application/json",
        "Accept": "*/*",
        "User-Agent": "Mozilla/4.0",
        "Request-ID": request_id(),
    }
    return NoticeRequest(headers=headers, body=_spoil_body(body, tamper))


def check_wish(mode: str, tamper: str) -> None:
    """Raises ControlError for a mode or tamper word that WeChat Pay notices do not know."""
    if mode not in MODES:
        raise ControlError(400, f"mode 只能是{'、'.join(MODES)}")
    if tamper not in TAMPERS and not tamper.startswith("drop_header:Wechatpay-"):
        raise ControlError(400, f"tamper 只能是{'、'.join(TAMPERS)} 或 drop_header:Wechatpay-…")


def overridden(plaintext: Doc, changes: dict[str, Any]) -> Doc:
    """Set dotted paths in the plaintext before it is sealed and signed; null removes the field."""
    copy: Doc = json.loads(json.dumps(plaintext))
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = copy
        for name in parents:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise ControlError(400, f"override 路径不存在：{path}")
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return copy


def damaged(signer: Signer, other: Signer, body: bytes, *, now: int, how: str | None) -> dict[str, str]:
    """Headers of an answer whose proof is bad in the way a fault names; None is the honest answer."""
    if how == "none":
        return {}
    if how == "stale":
        return signed_headers(signer, body, now=now - 601)
    headers = signed_headers(other if how == "other_key" else signer, body, now=now, announce=signer.serial)
    if how == "signtest":
        headers["Wechatpay-Signature"] = probe_signature()
    return headers


def _signers(keys: WechatPayKeys, mode: str) -> tuple[Signer, Signer]:
    public, certificate = keys.public_keys[0], keys.platforms[0]
    return (public, certificate) if mode == "public_key" else (certificate, public)


def _flip_signature(signature: str) -> str:
    raw = bytearray(base64.b64decode(signature))
    raw[len(raw) // 2] ^= 0x01
    return base64.b64encode(bytes(raw)).decode()


def _spoil_body(body: bytes, tamper: str) -> bytes:
    spoilers: dict[str, Callable[[bytes], bytes]] = {
        "body_byte": _flip_body,
        "body_space": lambda b: b.replace(b"{", b"{ ", 1),
        "reserialise": lambda b: json.dumps(json.loads(b), ensure_ascii=False, sort_keys=True).encode(),
    }
    return spoilers[tamper](body) if tamper in spoilers else body


def _flip_body(body: bytes) -> bytes:
    """Change one letter of the ciphertext, so that the JSON stays readable."""
    at = body.index(b'"ciphertext":"') + len(b'"ciphertext":"')
    other = b"B" if body[at : at + 1] == b"A" else b"A"
    return body[:at] + other + body[at + 1 :]


def _compact(content: Doc) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


_XML_V2 = (
    b"<xml><return_code>SUCCESS</return_code><appid><![CDATA[wxd678efh567hg6787]]></appid>"
    b"<mch_id><![CDATA[1900000109]]></mch_id><nonce_str><![CDATA[TeqClE3i0mvn3DrK]]></nonce_str>"
    b"<req_info><![CDATA[T87GAHG17TGAHG1TGHAHAHA1Y1CIOA9UGJH1GAHV871HAGAGQYQQPOOJMXNBCXBVNMNMAJAA]]></req_info></xml>"
)
