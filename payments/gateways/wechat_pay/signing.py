"""The signatures and the cipher of WeChat Pay APIv3 over exact bytes; no I/O, no clock, no knowledge of orders."""

import base64
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from payments.gateways.rsa_keys import decoded_signature

SCHEME = "WECHATPAY2-SHA256-RSA2048"
PUBLIC_KEY_PREFIX = "PUB_KEY_ID_"
PROBE_PREFIX = "WECHATPAY/SIGNTEST/"  # 签名探测流量: WeChat tests whether we verify
WINDOW_SECONDS = 300
_HEX = re.compile(r"[0-9A-F]+")


def request_message(method: str, target: str, timestamp: int, nonce: str, body: bytes) -> bytes:
    """The five lines a request is signed over; `target` is the raw path and query that goes over the wire."""
    return f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"


def answer_message(timestamp: str, nonce: str, body: bytes) -> bytes:
    """The three lines an answer or a notice is signed over; an empty body is just the line end."""
    return f"{timestamp}\n{nonce}\n".encode() + body + b"\n"


def client_message(app_id: str, timestamp: str, nonce: str, package: str) -> bytes:
    """The four lines `wx.requestPayment` is signed over; `package` is "prepay_id=…"."""
    return f"{app_id}\n{timestamp}\n{nonce}\n{package}\n".encode()


def authorization(*, mchid: str, serial: str, nonce: str, timestamp: int, signature: str) -> str:
    """The Authorization header."""
    return (
        f'{SCHEME} mchid="{mchid}",nonce_str="{nonce}",signature="{signature}",'
        f'timestamp="{timestamp}",serial_no="{serial}"'
    )


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
