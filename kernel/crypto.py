"""Sealing of personal data, blind indexes, tokens, password hashes; no algorithm and no partner's signature is here."""

import asyncio
import base64
import binascii
import functools
import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidKey, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import hmac as tagged
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7

from kernel.config import setting

_VERSION = "1"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_BYTES = 32
_KEY_ID = re.compile(r"[a-z0-9-]{1,16}")
_NAMES = {"aes": "a", "sm4": "s"}
# 19 MiB, two rounds, one lane: the cost OWASP gives for Argon2id; about 30 ms of one core.
_ARGON2_KIB = 19 * 1024


class BrokenSeal(Exception):
    """The sealed text is damaged, belongs to another place, or its key is gone. The message never holds a value."""


def _keys(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


@dataclass(frozen=True, kw_only=True)
class CryptoSettings:
    """The keys under which personal data is stored."""

    field_keys: tuple[str, ...] = setting(
        "FIELD_KEYS",
        help="字段加密密钥，写成 编号:base64（32 字节随机数），多把用逗号分开；第一把用于新数据，其余只用于读旧数据",
        secret=True,
        parse=_keys,
    )
    field_cipher: str = setting(
        "FIELD_CIPHER",
        help="新数据的加密算法；sm4 为国密 SM4-GCM，改变后旧数据仍可读",
        default="aes",
        choices=("aes", "sm4"),
    )
    blind_index_key: str = setting(
        "BLIND_INDEX_KEY", help="等值查找索引的密钥，base64（32 字节随机数）；更换后须重建索引", secret=True
    )
    blind_index_digest: str = setting(
        "BLIND_INDEX_DIGEST",
        help="等值查找索引的摘要算法；更换后须重建索引",
        default="sha256",
        choices=("sha256", "sm3"),
    )

    def __post_init__(self) -> None:
        """Complains in Chinese about keys that cannot be used."""
        _parse_field_keys(self.field_keys)
        _decode_key(self.blind_index_key, "BLIND_INDEX_KEY")


@dataclass(frozen=True)
class _Keyring:
    current: str
    cipher: str
    masters: dict[str, bytes] = field(repr=False)
    index_key: bytes = field(repr=False)
    index_digest: str

    def __hash__(self) -> int:
        return id(self)  # one per configure(); lets the derived ciphers be cached


_keyring: _Keyring | None = None


def configure(settings: CryptoSettings) -> None:
    """Takes the keys into use after the algorithms have answered their known values; called once by the wiring."""
    global _keyring
    self_test()
    masters = _parse_field_keys(settings.field_keys)
    _cipher.cache_clear()
    _keyring = _Keyring(
        current=next(iter(masters)),
        cipher=settings.field_cipher,
        masters=masters,
        index_key=_decode_key(settings.blind_index_key, "BLIND_INDEX_KEY"),
        index_digest=settings.blind_index_digest,
    )


def self_test() -> None:
    """Known answers of SM3 and SM4 (GB/T 32905, GB/T 32907, RFC 8998); RuntimeError when one is wrong."""
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    block = _sm4_ecb(key).encryptor().update(key)
    gcm = Cipher(algorithms.SM4(key), modes.GCM(bytes.fromhex("00001234567800000000abcd"))).encryptor()
    gcm.authenticate_additional_data(bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2"))
    first = gcm.update(bytes.fromhex("aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb"))
    if (
        sm3(b"abc").hex() != "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
        or block.hex() != "681edf34d206965e86b3e94f536e4246"
        or first.hex() != "17f399f08c67d5ee19d0dc9969c4bb7d"
    ):
        raise RuntimeError("SM3 or SM4 gave a wrong known answer; refusing to encrypt with this library")


def seal(value: str | bytes, *, context: str) -> str:
    """Encrypts for one place: `context` is "table.column:<public id>". The result is ASCII and opens nowhere else."""
    ring = _ring()
    name = _NAMES[ring.cipher]
    header = f"{_VERSION}.{name}.{ring.current}"
    nonce = os.urandom(_NONCE_BYTES)
    plain = value.encode() if isinstance(value, str) else bytes(value)
    body = _cipher(ring, name, ring.current, _place(context)).encrypt(nonce, plain, _bound(header, context))
    return f"{header}.{_b64(nonce + body)}"


def unseal(sealed: str, *, context: str) -> bytes:
    """The bytes sealed for this place, whatever key and algorithm were current then. Raises BrokenSeal."""
    ring = _ring()
    try:
        version, name, key_id, payload = sealed.split(".")
        raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    except (ValueError, binascii.Error):
        raise BrokenSeal("not a sealed text") from None
    if version != _VERSION or name not in _NAMES.values() or key_id not in ring.masters:
        raise BrokenSeal("unknown version, algorithm or key")
    if len(raw) < _NONCE_BYTES + _TAG_BYTES:
        raise BrokenSeal("too short")
    bound = _bound(f"{version}.{name}.{key_id}", context)
    try:
        return _cipher(ring, name, key_id, _place(context)).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], bound)
    except InvalidTag:
        raise BrokenSeal("damaged, or sealed for another place") from None


def unseal_text(sealed: str, *, context: str) -> str:
    """`unseal` for text."""
    return unseal(sealed, context=context).decode()


def is_current(sealed: str) -> bool:
    """Whether a row already uses the current key and algorithm; key rotation re-seals the others."""
    ring = _ring()
    return sealed.startswith(f"{_VERSION}.{_NAMES[ring.cipher]}.{ring.current}.")


def blind_index(value: str, *, purpose: str) -> str:
    """64 hex characters that are equal for equal values of one purpose. The caller normalises the value first."""
    ring = _ring()
    message = f"{purpose}\x00{value}".encode()
    if ring.index_digest == "sm3":
        return hmac_sm3(ring.index_key, message).hex()
    return hmac.new(ring.index_key, message, hashlib.sha256).hexdigest()


def join_token(value: str, *, purpose: str) -> str:
    """12 characters for log lines, so that two lines about one person can be joined without showing the person."""
    return blind_index(value, purpose=f"log:{purpose}")[:12]


def sm3(data: bytes) -> bytes:
    """SM3 digest, 32 bytes."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


def hmac_sm3(key: bytes, data: bytes) -> bytes:
    """HMAC with SM3, 32 bytes."""
    mac = tagged.HMAC(key, hashes.SM3())
    mac.update(data)
    return mac.finalize()


def sm4_ecb_encrypt(key: bytes, data: bytes) -> bytes:
    """SM4 in ECB mode with PKCS#7 padding, because a carrier's envelope demands it; never for our own data."""
    padder = PKCS7(128).padder()
    encryptor = _sm4_ecb(key).encryptor()
    return encryptor.update(padder.update(data) + padder.finalize()) + encryptor.finalize()


def sm4_ecb_decrypt(key: bytes, data: bytes) -> bytes:
    """The other direction. Raises BrokenSeal for every kind of bad input alike."""
    decryptor = _sm4_ecb(key).decryptor()
    unpadder = PKCS7(128).unpadder()
    try:
        padded = decryptor.update(data) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise BrokenSeal("not an SM4 envelope") from None


def new_token() -> str:
    """An opaque token of 256 random bits, 43 URL-safe characters. Store only its hash."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """What is stored of a token: SHA-256, 64 hex characters. A random token needs no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def constant_equal(left: str | bytes, right: str | bytes) -> bool:
    """Equality whose time does not depend on where the difference is."""
    a = left.encode() if isinstance(left, str) else left
    b = right.encode() if isinstance(right, str) else right
    return hmac.compare_digest(a, b)


async def hash_password(password: str) -> str:
    """Argon2id as a PHC string. Runs in a thread: it costs about 30 ms of CPU and 19 MiB."""
    return await asyncio.to_thread(_derive, password)


async def verify_password(password: str, stored: str | None) -> bool:
    """Whether the password fits. `stored=None` (no such account) does the same work, so that time tells nothing."""
    return await asyncio.to_thread(_verify, password, stored)


def _argon2() -> Argon2id:
    return Argon2id(salt=os.urandom(16), length=32, iterations=2, lanes=1, memory_cost=_ARGON2_KIB)


def _derive(password: str) -> str:
    return _argon2().derive_phc_encoded(password.encode())


def _verify(password: str, stored: str | None) -> bool:
    if stored is None:
        _derive(password)
        return False
    try:
        Argon2id.verify_phc_encoded(password.encode(), stored)
    except InvalidKey:
        return False
    return True


class _Sm4Gcm:
    """SM4-GCM with the three calls of AESGCM."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(self, nonce: bytes, data: bytes, bound: bytes) -> bytes:
        encryptor = Cipher(algorithms.SM4(self._key), modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(bound)
        return encryptor.update(data) + encryptor.finalize() + encryptor.tag

    def decrypt(self, nonce: bytes, data: bytes, bound: bytes) -> bytes:
        body, tag = data[:-_TAG_BYTES], data[-_TAG_BYTES:]
        decryptor = Cipher(algorithms.SM4(self._key), modes.GCM(nonce, tag)).decryptor()
        decryptor.authenticate_additional_data(bound)
        return decryptor.update(body) + decryptor.finalize()


@functools.lru_cache(maxsize=512)
def _cipher(ring: _Keyring, name: str, key_id: str, place: str) -> AESGCM | _Sm4Gcm:
    """One derived key per algorithm and column: a nonce can then only ever collide within one column."""
    info = f"field.{_VERSION}.{name}.{place}".encode()
    length = _KEY_BYTES if name == "a" else 16
    derived = HKDF(hashes.SHA256(), length, None, info).derive(ring.masters[key_id])
    return AESGCM(derived) if name == "a" else _Sm4Gcm(derived)


def _ring() -> _Keyring:
    if _keyring is None:
        raise RuntimeError("kernel.crypto.configure() has not been called")
    return _keyring


def _place(context: str) -> str:
    return context.partition(":")[0]


def _bound(header: str, context: str) -> bytes:
    return f"{header}|{context}".encode()


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _sm4_ecb(key: bytes) -> Cipher[modes.ECB]:
    return Cipher(algorithms.SM4(key), modes.ECB())  # noqa: S305 — the block itself, and the carrier's envelope


def _decode_key(text: str, name: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise ValueError(f"{name}：密钥不是 base64") from None
    if len(key) != _KEY_BYTES:
        raise ValueError(f"{name}：密钥必须是 {_KEY_BYTES} 字节")
    return key


def _parse_field_keys(entries: tuple[str, ...]) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for entry in entries:
        key_id, colon, text = entry.partition(":")
        if not colon or not _KEY_ID.fullmatch(key_id):
            raise ValueError("FIELD_KEYS：每把密钥写成 编号:base64，编号用小写字母、数字和短横线")
        if key_id in keys:
            raise ValueError(f"FIELD_KEYS：密钥编号 {key_id} 重复")
        keys[key_id] = _decode_key(text, "FIELD_KEYS")
    if not keys:
        raise ValueError("FIELD_KEYS：至少要有一把密钥")
    return keys
