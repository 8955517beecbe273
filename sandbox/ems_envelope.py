"""The SM4 envelope of the EMS open platform, as the carrier's side of it; no call and no field is known here."""

import base64
import binascii
import json
from urllib.parse import urlencode

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PREFIX = "|$4|"
_BLOCK_BITS = 128


class EnvelopeError(Exception):
    """The envelope cannot be accepted; the text says which rule it breaks, in Chinese."""


def seal(text: str, sign_key: str, *, suffix: bool = True) -> str:
    """`|$4|` + base64(SM4-ECB-PKCS7(text + signKey)); without the suffix for callbacks that do not carry it."""
    padder = padding.PKCS7(_BLOCK_BITS).padder()
    plain = padder.update((text + (sign_key if suffix else "")).encode()) + padder.finalize()
    encryptor = Cipher(algorithms.SM4(_key(sign_key)), modes.ECB()).encryptor()  # noqa: S305 (the partner's protocol)
    return PREFIX + base64.b64encode(encryptor.update(plain) + encryptor.finalize()).decode()


def unseal(envelope: str, sign_key: str) -> str:
    """The JSON text of a request. Raises EnvelopeError; the trailing signKey is the only integrity check there is."""
    if not envelope.startswith(PREFIX):
        raise EnvelopeError("密文前缀必须是|$4|")
    try:
        data = base64.b64decode(envelope[len(PREFIX) :], validate=True)
    except binascii.Error:
        raise EnvelopeError("密文不是合法的base64") from None
    if not data or len(data) % (_BLOCK_BITS // 8):
        raise EnvelopeError("密文长度不是16字节的整数倍")
    decryptor = Cipher(algorithms.SM4(_key(sign_key)), modes.ECB()).decryptor()  # noqa: S305
    unpadder = padding.PKCS7(_BLOCK_BITS).unpadder()
    try:
        text = (unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()).decode()
    except ValueError:
        raise EnvelopeError("解密失败，请检查密钥") from None
    if not text.endswith(sign_key):
        raise EnvelopeError("明文末尾缺少signKey")
    return text[: -len(sign_key)]


def encode_outer(outer: dict[str, str], form: str) -> tuple[dict[str, str], bytes]:
    """The published text names the fields of a push but not their encoding, so both are possible."""
    if form == "form":
        return {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}, urlencode(outer).encode()
    return {"Content-Type": "application/json; charset=UTF-8"}, json.dumps(outer, separators=(",", ":")).encode()


def _key(sign_key: str) -> bytes:
    return base64.b64decode(sign_key, validate=True)
