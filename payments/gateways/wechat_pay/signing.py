"""The signatures and the cipher of WeChat Pay APIv3 over exact bytes; no I/O, no clock, no knowledge of orders."""

import base64
import binascii
import re

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SCHEME = "WECHATPAY2-SHA256-RSA2048"
PUBLIC_KEY_PREFIX = "PUB_KEY_ID_"
PROBE_PREFIX = "WECHATPAY/SIGNTEST/"  # 签名探测流量: WeChat tests whether we verify
WINDOW_SECONDS = 300
_HEX = re.compile(r"[0-9A-F]+")


class UnusableKey(ValueError):
    """A key or certificate that cannot be used; the message says why, never what."""


def request_message(method: str, target: str, timestamp: int, nonce: str, body: bytes) -> bytes:
    """The five lines a request is signed over; `target` is the raw path and query that goes over the wire."""
    return f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"


def answer_message(timestamp: str, nonce: str, body: bytes) -> bytes:
    """The three lines an answer or a notice is signed over; an empty body is just the line end."""
    return f"{timestamp}\n{nonce}\n".encode() + body + b"\n"


def client_message(app_id: str, timestamp: str, nonce: str, package: str) -> bytes:
    """The four lines `wx.requestPayment` is signed over; `package` is "prepay_id=…"."""
    return f"{app_id}\n{timestamp}\n{nonce}\n{package}\n".encode()


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """RSASSA-PKCS1-v1_5 with SHA-256, base64 in one line."""
    return base64.b64encode(key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()


def authorization(*, mchid: str, serial: str, nonce: str, timestamp: int, signature: str) -> str:
    """The Authorization header."""
    return (
        f'{SCHEME} mchid="{mchid}",nonce_str="{nonce}",signature="{signature}",'
        f'timestamp="{timestamp}",serial_no="{serial}"'
    )


def decoded_signature(text: str) -> bytes | None:
    """The bytes, or None: base64 is decoded strictly, so that one message has one spelling."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def verifies(key: RSAPublicKey, message: bytes, signature: bytes) -> bool:
    """Whether the signature is right."""
    try:
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def plain_timestamp(text: str) -> int | None:
    """Unix seconds from plain digits, or None; absurdly long numbers are refused before they are converted."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def normal_serial(text: str) -> str:
    """One spelling per key: certificate serials as upper-case hex of even length, PUB_KEY_ID_… as it is."""
    if text.startswith(PUBLIC_KEY_PREFIX):
        return text
    upper = text.upper()
    if not _HEX.fullmatch(upper):
        return text  # something else: it will simply not be found
    digits = upper.lstrip("0") or "0"
    return digits if len(digits) % 2 == 0 else "0" + digits


def serial_of_number(number: int) -> str:
    """The serial of a certificate as we compare it."""
    return normal_serial(f"{number:X}")


def open_sealed(api_v3_key: bytes, *, nonce: str, associated_data: str, ciphertext: str) -> bytes | None:
    """AES-256-GCM with the APIv3 key; the tag is the last 16 bytes. None when it does not open."""
    raw = decoded_signature(ciphertext)
    iv = nonce.encode()
    if raw is None or len(raw) < 16 or not 8 <= len(iv) <= 128:
        return None
    try:
        return AESGCM(api_v3_key).decrypt(iv, raw, associated_data.encode())
    except InvalidTag:
        return None


def sealed_field(key: RSAPublicKey, text: str) -> str:
    """A sensitive field of a request: RSA-OAEP with SHA-1, which WeChat Pay prescribes, in base64."""
    scheme = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303
    return base64.b64encode(key.encrypt(text.encode(), scheme)).decode()


def load_private_key(pem: bytes) -> RSAPrivateKey:
    """The merchant's key. Raises UnusableKey."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise UnusableKey("不是没有口令的 PEM 私钥") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < 2048:
        raise UnusableKey("必须是不短于 2048 位的 RSA 私钥")
    return key


def load_public_key(pem: bytes) -> RSAPublicKey:
    """WeChat Pay's public key. Raises UnusableKey."""
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError:
        raise UnusableKey("不是 PEM 公钥") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < 2048:
        raise UnusableKey("必须是不短于 2048 位的 RSA 公钥")
    return key
