"""The cryptography and the strings of `gateway.do` from the partner's side; no business rule lives here."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from urllib.parse import quote_plus, unquote_to_bytes

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

# The word of the wire → the codec. GBK is read as its superset, so that rare characters survive.
CHARSETS = {"utf-8": "utf-8", "gbk": "gb18030", "gb2312": "gb18030"}


def codec(charset: str) -> str | None:
    """The codec for a `charset` parameter; None for one the gateway does not take."""
    return CHARSETS.get(charset.strip().lower())


def read_pairs(raw: bytes) -> list[tuple[bytes, bytes]]:
    """URL-encoded pairs in order, each decoded once, blank values kept; no charset is applied yet."""
    pairs = []
    for part in raw.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            pairs.append((unquote_to_bytes(name.replace(b"+", b" ")), unquote_to_bytes(value.replace(b"+", b" "))))
    return pairs


def joined(params: Mapping[str, str], *, without: Iterable[str], blanks: bool = False) -> str:
    """`name=value` sorted by name and joined by `&`, raw values; empty values stay only when `blanks` is set."""
    dropped = set(without)
    return "&".join(f"{k}={v}" for k, v in sorted(params.items()) if k not in dropped and (v or blanks))


def sign(key: rsa.RSAPrivateKey, data: bytes, *, sha1: bool = False) -> str:
    """RSA PKCS#1 v1.5 over SHA-256, base64; SHA-1 only for messages that must be refused."""
    algorithm: hashes.HashAlgorithm = hashes.SHA1() if sha1 else hashes.SHA256()  # noqa: S303
    return base64.b64encode(key.sign(data, padding.PKCS1v15(), algorithm)).decode()


def is_signed(key: rsa.RSAPublicKey, data: bytes, signature: str) -> bool:
    """SHA-256 and nothing else, whatever `sign_type` claims."""
    try:
        key.verify(base64.b64decode(signature, validate=True), data, padding.PKCS1v15(), hashes.SHA256())
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


def form(pairs: Iterable[tuple[str, str]], encoding: str) -> bytes:
    """A URL-encoded body in the given codec."""
    return "&".join(f"{quote_plus(k, encoding=encoding)}={quote_plus(v, encoding=encoding)}" for k, v in pairs).encode()
