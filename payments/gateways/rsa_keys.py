"""RSA with SHA-256 over exact bytes, and the keys for it: what the channels that sign with RSA have in common. No I/O."""

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

_LEAST_BITS = 2048
_PEM = b"-----BEGIN "


class UnusableKey(ValueError):
    """A key or certificate that cannot be used; the message says why, never what."""


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """RSASSA-PKCS1-v1_5 with SHA-256, base64 in one line."""
    return base64.b64encode(key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()


def decoded_signature(text: str) -> bytes | None:
    """The bytes, or None: base64 is decoded strictly, so that one message has one spelling."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def verifies(key: RSAPublicKey, message: bytes, signature: bytes) -> bool:
    """Whether the signature is right; the hash is always SHA-256, whatever a message says of itself."""
    try:
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def load_private_key(pem: bytes) -> RSAPrivateKey:
    """Our own key: PEM (PKCS#8 or PKCS#1), or their base64 alone as the tools of some channels write it. Raises UnusableKey."""
    try:
        key = (
            serialization.load_pem_private_key(pem, password=None)
            if _PEM in pem
            else serialization.load_der_private_key(_der(pem), password=None)
        )
    except (ValueError, TypeError):
        raise UnusableKey("不是没有口令的 PEM 私钥") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < _LEAST_BITS:
        raise UnusableKey("必须是不短于 2048 位的 RSA 私钥")
    return key


def load_public_key(pem: bytes) -> RSAPublicKey:
    """The channel's public key: PEM, or its base64 alone. Raises UnusableKey."""
    try:
        key = serialization.load_pem_public_key(pem) if _PEM in pem else serialization.load_der_public_key(_der(pem))
    except ValueError:
        raise UnusableKey("不是 PEM 公钥") from None
    return checked_public_key(key)


def checked_public_key(key: object) -> RSAPublicKey:
    """The key if it is RSA and long enough. Raises UnusableKey."""
    if not isinstance(key, RSAPublicKey) or key.key_size < _LEAST_BITS:
        raise UnusableKey("必须是不短于 2048 位的 RSA 公钥")
    return key


def _der(text: bytes) -> bytes:
    return base64.b64decode(b"".join(text.split()), validate=True)
