"""WeChat Pay's side written from the documentation alone: signs, seals and issues certificates with keys of its own."""

import base64
import datetime as dt
import json
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

from kernel import clock
from payments.gateways.wechat_pay.client import Merchant

MCHID, APPID = "1900000109", "wxd678efh567hg6787"
APIV3_KEY = "0123456789abcdef0123456789ABCDEF"
PUBLIC_ID = "PUB_KEY_ID_0119000001092026112000389000000000"
SCHEME = "WECHATPAY2-SHA256-RSA2048"


@cache
def key(name: str) -> rsa.RSAPrivateKey:
    """One key per name and session, because making one takes time."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def sign(signer: rsa.RSAPrivateKey, data: bytes) -> str:
    return base64.b64encode(signer.sign(data, padding.PKCS1v15(), hashes.SHA256())).decode()


def pem(name: str) -> bytes:
    return (
        key(name).public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def certificate(name: str, *, serial: int, days: float = 30) -> bytes:
    """A platform certificate of the named key, valid from yesterday."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tenpay.com sign")])
    now = clock.now()
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key(name).public_key())
        .serial_number(serial)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .sign(key(name), hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


def seal(plain: bytes, *, associated: str, api_key: str = APIV3_KEY) -> dict:
    nonce = "fdasflkja484"
    sealed = AESGCM(api_key.encode()).encrypt(nonce.encode(), plain, associated.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "nonce": nonce,
        "associated_data": associated,
        "ciphertext": base64.b64encode(sealed).decode(),
    }


def transaction(payment_no: str, **changed) -> dict:
    """The order object of a payment notice; a dotted name changes an inner field, None removes it."""
    plain = {
        "mchid": MCHID,
        "appid": APPID,
        "out_trade_no": payment_no,
        "transaction_id": "4200001234202611191234567890",
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "OTHERS",
        "success_time": "2026-11-19T10:00:00+08:00",
        "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
        "amount": {"total": 1000, "payer_total": 1000, "currency": "CNY", "payer_currency": "CNY"},
    }
    for path, value in changed.items():
        *parents, last = path.split("__")
        place = plain
        for name in parents:
            place = place[name]
        if value is None:
            place.pop(last)
        else:
            place[last] = value
    return plain


def envelope(
    plain: dict, *, event="TRANSACTION.SUCCESS", original="transaction", event_id="EV-1", **seal_with
) -> bytes:
    resource = seal(json.dumps(plain, ensure_ascii=False).encode(), associated=original, **seal_with)
    body = {
        "id": event_id,
        "create_time": "2026-11-19T10:00:01+08:00",
        "resource_type": "encrypt-resource",
        "event_type": event,
        "summary": "支付成功",
        "resource": {"original_type": original, **resource},
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def headers(
    body: bytes, *, signer: str = "public", serial: str = PUBLIC_ID, skew: int = 0, nonce: str = "5K8264ILTKCH16CQ"
) -> dict:
    stamp = str(int(clock.now().timestamp()) + skew)
    return {
        "Wechatpay-Timestamp": stamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": sign(key(signer), f"{stamp}\n{nonce}\n".encode() + body + b"\n"),
        "Wechatpay-Serial": serial,
        "Wechatpay-Signature-Type": SCHEME,
    }


def merchant() -> Merchant:
    return Merchant(
        mchid=MCHID,
        app_id=APPID,
        serial="0BC0B9D2",
        key=key("merchant"),
        api_v3_key=APIV3_KEY.encode(),
        public_key_id=PUBLIC_ID,
    )
