"""The table of keys that verify WeChat Pay's messages: its public key and its platform certificates, both live at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kernel import clock
from payments.gateways import rsa_keys
from payments.gateways.base import Certificate, CertificateStore, KeyNews
from payments.gateways.wechat_pay import signing

RELOAD_SECONDS = 5.0  # the shared table is re-read at most this often for a serial we do not know
REFRESH_SECONDS = 60.0  # and WeChat is asked at most this often, in the background, by a job


@dataclass(frozen=True)
class _Known:
    key: RSAPublicKey
    effective_at: datetime
    expires_at: datetime


def parse_certificate(pem: bytes) -> Certificate:
    """A platform certificate from its PEM. Raises UnusableKey."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise rsa_keys.UnusableKey("不是 PEM 证书") from None
    rsa_keys.load_public_key(
        certificate.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return Certificate(
        serial=signing.serial_of_number(certificate.serial_number),
        pem=pem.decode("ascii"),
        effective_at=certificate.not_valid_before_utc,
        expires_at=certificate.not_valid_after_utc,
    )


def public_key_of(certificate: Certificate) -> RSAPublicKey:
    """The key inside a certificate that `parse_certificate` accepted."""
    key = x509.load_pem_x509_certificate(certificate.pem.encode("ascii")).public_key()
    if not isinstance(key, RSAPublicKey):
        raise rsa_keys.UnusableKey("证书中不是 RSA 公钥")
    return key


class KeyTable:
    """Looks keys up by serial. The public key comes from the settings, certificates from a store all processes share.

    A stranger who sends unknown serials causes at most one read of the store per 5 s and one request to WeChat per minute.
    """

    def __init__(
        self,
        *,
        channel: str,
        public_key_id: str | None,
        public_key: RSAPublicKey | None,
        store: CertificateStore,
        news: KeyNews,
    ) -> None:
        self._channel, self._store, self._news = channel, store, news
        self._public: dict[str, RSAPublicKey] = {}
        if public_key_id and public_key:
            self._public[public_key_id] = public_key
        self._certificates: dict[str, _Known] = {}
        self._loaded_at: float | None = None
        self._told_at: float | None = None

    def find(self, serial: str) -> RSAPublicKey | None:
        """The key of this serial if we have it and it is valid now; never "the only key we have"."""
        wanted = signing.normal_serial(serial)
        if wanted in self._public:
            return self._public[wanted]
        known = self._certificates.get(wanted)
        if known is None or not known.effective_at <= clock.now() < known.expires_at:
            return None
        return known.key

    def for_encryption(self) -> tuple[str, RSAPublicKey] | None:
        """Serial and key for sensitive fields: the public key, otherwise the valid certificate that began last."""
        if self._public:
            return next(iter(self._public.items()))
        now = clock.now()
        valid = [
            (k.effective_at, s, k.key) for s, k in self._certificates.items() if k.effective_at <= now < k.expires_at
        ]
        return max(valid, key=lambda one: one[0])[1:] if valid else None

    async def look(self, serial: str) -> RSAPublicKey | None:
        """`find`, and for an unknown serial a look into the shared store and a word to the job that fetches certificates."""
        key = self.find(serial)
        if key is not None:
            return key
        now = clock.monotonic()
        if self._loaded_at is None or now - self._loaded_at >= RELOAD_SECONDS:
            self._loaded_at = now
            self.take(await self._store.load(self._channel))
            key = self.find(serial)
        if key is None and (self._told_at is None or now - self._told_at >= REFRESH_SECONDS):
            self._told_at = now
            await self._news(self._channel)
        return key

    def take(self, certificates: Sequence[Certificate]) -> None:
        """Adds certificates and drops those past their end; a shorter list never removes a valid one."""
        for certificate in certificates:
            self._certificates[certificate.serial] = _Known(
                public_key_of(certificate),
                certificate.effective_at.astimezone(UTC),
                certificate.expires_at.astimezone(UTC),
            )
        now = clock.now()
        self._certificates = {serial: known for serial, known in self._certificates.items() if now < known.expires_at}

    async def keep(self, certificates: Sequence[Certificate]) -> None:
        """Takes freshly fetched certificates and shares them."""
        self.take(certificates)
        await self._store.save(self._channel, list(certificates))
