"""The keys that verify Alipay's messages: one public key, or in certificate mode a table of certificates by their SN."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kernel import clock
from payments.gateways.alipay import certificates
from payments.gateways.base import Certificate, CertificateStore, KeyNews

RELOAD_SECONDS = 5.0  # the shared table is re-read at most this often for an SN we do not know
REFRESH_SECONDS = 60.0  # and Alipay is asked at most this often, in the background, by a job


@dataclass(frozen=True)
class _Known:
    key: RSAPublicKey
    begins_at: datetime
    ends_at: datetime


class KeyTable:
    """Looks the key of a message up. In key mode there is one, whatever SN a message names.

    Unknown SNs cause at most one read of the shared store per 5 s and one request to Alipay per minute.
    """

    def __init__(
        self,
        *,
        channel: str,
        public_key: RSAPublicKey | None,
        chain: Sequence[x509.Certificate] = (),
        roots: Sequence[x509.Certificate] = (),
        store: CertificateStore,
        news: KeyNews,
    ) -> None:
        self._channel, self._public, self._store, self._news = channel, public_key, store, news
        self._between, self._roots = tuple(chain[1:]), tuple(roots)
        self._certificates = {certificates.sn(chain[0]): _known(chain[0])} if chain else {}
        self._loaded_at: float | None = None
        self._told_at: float | None = None

    @property
    def certificate_mode(self) -> bool:
        """Whether answers must name the certificate that signed them."""
        return self._public is None

    def find(self, sn: str | None) -> RSAPublicKey | None:
        """The key for an answer, if we have it and it is valid now; never "the only certificate we have"."""
        if self._public is not None:
            return self._public
        known = self._certificates.get((sn or "").lower())
        return known.key if known is not None and known.begins_at <= clock.now() < known.ends_at else None

    async def look(self, sn: str | None) -> RSAPublicKey | None:
        """`find`, and for an unknown SN a look into the shared store and a word to the job that fetches certificates."""
        key = self.find(sn)
        if key is not None or not sn:
            return key
        await self._reload()
        key, now = self.find(sn), clock.monotonic()
        if key is None and (self._told_at is None or now - self._told_at >= REFRESH_SECONDS):
            self._told_at = now
            await self._news(self._channel, sn.lower())
        return key

    async def for_notices(self) -> list[RSAPublicKey]:
        """Every key a notice may be signed with: notices name none."""
        if self._public is not None:
            return [self._public]
        await self._reload()
        now = clock.now()
        return [known.key for known in self._certificates.values() if known.begins_at <= now < known.ends_at]

    async def keep(self, chain: Sequence[x509.Certificate], *, sn: str) -> bool:
        """Takes a fetched certificate and shares it, if it is the one that was asked for and was issued under Alipay's root."""
        leaf = chain[0]
        between = (*chain[1:], *self._between, *self._roots)
        if certificates.sn(leaf) != sn or not certificates.is_issued_under(
            leaf, between=between, roots=self._roots, now=clock.now()
        ):
            return False
        self._certificates[sn] = _known(leaf)
        pem = leaf.public_bytes(serialization.Encoding.PEM).decode("ascii")
        shared = Certificate(
            serial=sn, pem=pem, effective_at=leaf.not_valid_before_utc, expires_at=leaf.not_valid_after_utc
        )
        await self._store.save(self._channel, [shared])
        return True

    async def _reload(self) -> None:
        now = clock.monotonic()
        if self._loaded_at is not None and now - self._loaded_at < RELOAD_SECONDS:
            return
        self._loaded_at = now
        for one in await self._store.load(self._channel):
            self._certificates[one.serial] = _known(certificates.load_chain(one.pem.encode("ascii"))[0])


def _known(certificate: x509.Certificate) -> _Known:
    return _Known(
        certificates.public_key(certificate),
        certificate.not_valid_before_utc.astimezone(UTC),
        certificate.not_valid_after_utc.astimezone(UTC),
    )
