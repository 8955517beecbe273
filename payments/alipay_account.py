"""The account at Alipay behind its settings: reading keys and certificates, and every complaint about them at once."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from kernel import clock
from payments import key_files
from payments.gateways import rsa_keys
from payments.gateways.alipay import certificates, package

if TYPE_CHECKING:
    from payments.settings import AlipaySettings

_APP_ID, _SELLER_ID = re.compile(r"\d{16}"), re.compile(r"2088\d{12}")
_T = TypeVar("_T")


def app_key(settings: "AlipaySettings") -> RSAPrivateKey:
    """Our private key. Raises ValueError."""
    name, path = "ALIPAY_APP_KEY_FILE", _needed(settings.app_key_file, "ALIPAY_APP_KEY_FILE")
    return key_files.named(name, lambda: rsa_keys.load_private_key(key_files.private_bytes(path, name)))


def public_key(settings: "AlipaySettings") -> RSAPublicKey | None:
    """Alipay's key in key mode. Raises ValueError, also when it is our own: the most common mistake."""
    if settings.public_key_file is None:
        return None
    name, path = "ALIPAY_PUBLIC_KEY_FILE", settings.public_key_file
    found = key_files.named(name, lambda: rsa_keys.load_public_key(key_files.public_bytes(path, name)))
    if found.public_numbers() == app_key(settings).public_key().public_numbers():
        raise ValueError(f"{name} 是应用公钥，应填支付宝公钥（在开放平台控制台上传应用公钥后得到）")
    return found


def app_certificate(settings: "AlipaySettings") -> x509.Certificate:
    """Our certificate in certificate mode, which must belong to our key. Raises ValueError."""
    name = "ALIPAY_APP_CERT_FILE"
    found = _chain(settings.app_cert_file, name)[0]
    if key_files.named(name, lambda: certificates.public_key(found)) != app_key(settings).public_key():
        raise ValueError(f"{name} 与 ALIPAY_APP_KEY_FILE 不是一对")
    if not found.not_valid_before_utc <= clock.now() < found.not_valid_after_utc:
        raise ValueError(f"{name} 不在有效期内")
    return found


def roots(settings: "AlipaySettings") -> list[x509.Certificate]:
    """Alipay's root certificates. Raises ValueError."""
    name = "ALIPAY_ROOT_CERT_FILE"
    found = _chain(settings.root_cert_file, name)
    key_files.named(name, lambda: certificates.root_sn(found))
    return found


def alipay_chain(settings: "AlipaySettings") -> list[x509.Certificate]:
    """Alipay's certificate and what its file holds beside it; it must have been issued under the root. Raises ValueError."""
    name = "ALIPAY_PUBLIC_CERT_FILE"
    found, above = _chain(settings.public_cert_file, name), roots(settings)
    if key_files.named(name, lambda: certificates.public_key(found[0])) == app_key(settings).public_key():
        raise ValueError(f"{name} 是应用证书，应填支付宝公钥证书")
    if not certificates.is_issued_under(found[0], between=(*found[1:], *above), roots=above, now=clock.now()):
        raise ValueError(f"{name} 不是由 ALIPAY_ROOT_CERT_FILE 签发的，或不在有效期内")
    return found


def complaints(settings: "AlipaySettings") -> list[str]:
    """Everything that is wrong. An account that is not configured at all is none of our business."""
    files = (settings.app_key_file, settings.public_key_file, settings.app_cert_file, settings.root_cert_file)
    if not settings.enabled:
        return ["没有设置 ALIPAY_APP_ID，却设置了支付宝的密钥"] if any(files) else []
    # One mistake may be met by several loaders; it is said once.
    return list(dict.fromkeys(text for text in (*_plain(settings), *_keys(settings), package.clash()) if text))


def _plain(settings: "AlipaySettings") -> Iterator[str]:
    base = urlsplit(settings.base_url)
    yield (
        ""
        if base.scheme in ("https", "http") and base.hostname and not base.query
        else "ALIPAY_BASE_URL 必须是完整地址且不带参数"
    )
    yield "" if _APP_ID.fullmatch(settings.app_id) else "ALIPAY_APP_ID 必须是 16 位数字"
    yield "" if _SELLER_ID.fullmatch(settings.seller_id) else "ALIPAY_SELLER_ID 必须是 2088 开头的 16 位数字"
    if settings.mini_app_id and not _APP_ID.fullmatch(settings.mini_app_id):
        yield "ALIPAY_MINI_APP_ID 必须是 16 位数字"
    notify = urlsplit(settings.notify_url)
    sound = notify.scheme in ("https", "http") and notify.hostname and not notify.query and not notify.fragment
    yield (
        ""
        if sound and len(settings.notify_url) <= 256
        else "ALIPAY_NOTIFY_URL 必须是完整地址且不带参数，不超过 256 个字符"
    )
    for name, url, most in (("RETURN", settings.return_url, 256), ("QUIT", settings.quit_url, 400)):
        if url and (urlsplit(url).scheme not in ("https", "http") or len(url) > most):
            yield f"ALIPAY_{name}_URL 必须是完整地址，不超过 {most} 个字符"


def _keys(settings: "AlipaySettings") -> Iterator[str]:
    yield key_files.refusal(lambda: app_key(settings))
    trio = (settings.app_cert_file, settings.public_cert_file, settings.root_cert_file)
    if (settings.public_key_file is not None) == any(trio):
        yield "ALIPAY_PUBLIC_KEY_FILE（公钥模式）与三个证书文件（证书模式）必须且只能用一种"
    if settings.public_key_file is not None:
        yield key_files.refusal(lambda: public_key(settings))
    if any(trio):
        for load in (app_certificate, roots, alipay_chain):
            yield key_files.refusal(lambda load=load: load(settings))  # type: ignore[misc]


def _chain(path: Path | None, name: str) -> list[x509.Certificate]:
    known = _needed(path, name)
    return key_files.named(name, lambda: certificates.load_chain(key_files.public_bytes(known, name)))


def _needed(path: Path | None, name: str) -> Path:
    if path is None:
        raise ValueError(f"{name} 没有设置")
    return path
