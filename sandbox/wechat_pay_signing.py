"""APIv3 cryptography from the partner's side: check a request, sign an answer, seal a resource; no business rule."""

import base64
import binascii
import re
import secrets
import string
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.wechat_pay_errors import PayError
from sandbox.wechat_pay_keys import Signer, normal_serial

SCHEME = "WECHATPAY2-SHA256-RSA2048"
MAX_SKEW_SECONDS = 300
_FIELDS = {"mchid", "nonce_str", "signature", "timestamp", "serial_no"}
_PAIR = re.compile(r'([a-z_]+)="([^"]*)"')
_ALPHANUMERIC = string.ascii_letters + string.digits

_MALFORMED = "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》"
_MALFORMED_TRANSACTIONS = "签名信息错误，验签失败"
_SKEW = "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟"
_SERIAL = "商户证书序列号有误。请使用签名私钥匹配的证书序列号"


@dataclass(frozen=True, kw_only=True)
class Authorization:
    """The five fields of the request header."""

    mchid: str
    nonce_str: str
    signature: str
    timestamp: str
    serial_no: str


def parse_authorization(value: str | None) -> Authorization | None:
    """Five fields in any order, one space after the scheme, commas without spaces; anything else is None."""
    if not value or not value.startswith(SCHEME + " "):
        return None
    found: dict[str, str] = {}
    # A base64 signature never contains a quote or a comma, so a plain split is exact.
    for part in value[len(SCHEME) + 1 :].split(","):
        match = _PAIR.fullmatch(part)
        if match is None or match[1] in found:
            return None
        found[match[1]] = match[2]
    return Authorization(**found) if set(found) == _FIELDS and all(found.values()) else None


def request_base(method: str, raw_target: str, timestamp: str, nonce: str, body: bytes) -> bytes:
    """Five lines, each ended by LF, over the path and query exactly as they came over the wire."""
    return f"{method}\n{raw_target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"


def message_base(timestamp: str, nonce: str, body: bytes) -> bytes:
    """Three lines, each ended by LF: what answers and notices are signed over."""
    return f"{timestamp}\n{nonce}\n".encode() + body + b"\n"


def sign(signer: Signer, data: bytes) -> str:
    return base64.b64encode(signer.key.sign(data, padding.PKCS1v15(), hashes.SHA256())).decode()


def verify_request(
    *,
    header: str | None,
    method: str,
    raw_target: str,
    body: bytes,
    merchant: Signer,
    mchid: str,
    now: int,
) -> Authorization:
    """The partner's checks in the partner's order: shape, clock, who, signature."""
    authorization = parse_authorization(header)
    if authorization is None:
        on_transactions = raw_target.startswith("/v3/pay/transactions/")
        raise _refused(_MALFORMED_TRANSACTIONS if on_transactions else _MALFORMED, "authorization", "malformed")
    stamp = authorization.timestamp
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12) or abs(now - int(stamp)) > MAX_SKEW_SECONDS:
        raise _refused(_SKEW, "timestamp", "timestamp out of range")
    if authorization.mchid != mchid or normal_serial(authorization.serial_no) != normal_serial(merchant.serial):
        raise _refused(_SERIAL, "serial_no", "serial does not belong to this merchant")
    base = request_base(method, raw_target, stamp, authorization.nonce_str, body)
    try:
        proof = base64.b64decode(authorization.signature, validate=True)
        merchant.key.public_key().verify(proof, base, padding.PKCS1v15(), hashes.SHA256())
    except (binascii.Error, ValueError, InvalidSignature):
        raise _refused("签名错误", "signature", "sign not match") from None
    return authorization


def _refused(message: str, field: str, issue: str) -> PayError:
    return PayError("SIGN_ERROR", message, detail={"field": field, "issue": issue, "location": "authorization"})


def random_text(length: int, alphabet: str = _ALPHANUMERIC) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def signed_headers(
    signer: Signer, body: bytes, *, now: int, announce: str | None = None, nonce: str | None = None
) -> dict[str, str]:
    """The five Wechatpay-* headers; `announce` names another serial than the signing key's (a hostile message)."""
    nonce = nonce or random_text(32)
    return {
        "Wechatpay-Timestamp": str(now),
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": sign(signer, message_base(str(now), nonce, body)),
        "Wechatpay-Serial": announce or signer.serial,
        "Wechatpay-Signature-Type": SCHEME,
    }


def probe_signature() -> str:
    """A signature as WeChat's own probes carry it: recognisable, wrong, and not even decodable base64."""
    return "WECHATPAY/SIGNTEST/" + random_text(325)


def seal(apiv3_key: str, plaintext: bytes, *, associated_data: str) -> dict[str, str]:
    """AEAD_AES_256_GCM with a 12-character nonce; the tag stands at the end of the ciphertext."""
    nonce = random_text(12)
    data = AESGCM(apiv3_key.encode()).encrypt(nonce.encode(), plaintext, associated_data.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(data).decode(),
        "associated_data": associated_data,
        "nonce": nonce,
    }


def request_id() -> str:
    """Like the real one: a long token, then a dash and WeChat's internal error number."""
    return f"{random_text(32, string.digits + 'ABCDEF')}-268435456"
