"""Certificate mode of Alipay: serial numbers of certificates, and whether one was issued under Alipay's root. No I/O, no clock."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from payments.gateways.rsa_keys import UnusableKey, checked_public_key

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_RSA_SIGNATURES = "1.2.840.113549.1.1."
_LONGEST_CHAIN = 6


def load_chain(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a file in its order. Raises UnusableKey when there is none or one cannot be read."""
    try:
        found = [x509.load_pem_x509_certificate(block) for block in _PEM.findall(pem)]
    except ValueError:
        raise UnusableKey("其中有读不懂的证书") from None
    if not found:
        raise UnusableKey("其中没有 PEM 证书")
    return found


def sn(certificate: x509.Certificate) -> str:
    """`app_cert_sn` and `alipay_cert_sn`: MD5 of the issuer (most specific part first) and the decimal serial."""
    text = f"{certificate.issuer.rfc4514_string()}{certificate.serial_number}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def root_sn(certificates: Sequence[x509.Certificate]) -> str:
    """`alipay_root_cert_sn`: those of the root file that are signed with RSA, in order; the SM2 ones are left out."""
    found = [sn(one) for one in certificates if one.signature_algorithm_oid.dotted_string.startswith(_RSA_SIGNATURES)]
    if not found:
        raise UnusableKey("根证书文件中没有 RSA 证书")
    return "_".join(found)


def public_key(certificate: x509.Certificate) -> RSAPublicKey:
    """The key inside. Raises UnusableKey."""
    try:
        return checked_public_key(certificate.public_key())
    except UnsupportedAlgorithm:
        raise UnusableKey("证书中不是 RSA 公钥") from None


def is_issued_under(
    leaf: x509.Certificate, *, between: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: datetime
) -> bool:
    """Whether valid signatures lead from the leaf to one of the roots, every certificate on the way being valid now."""
    at = leaf
    for _ in range(_LONGEST_CHAIN):
        if not at.not_valid_before_utc <= now < at.not_valid_after_utc:
            return False
        if any(_issued(at, root) and _is_authority(root) for root in roots):
            return True
        above = next((one for one in between if one != at and _is_authority(one) and _issued(at, one)), None)
        if above is None:
            return False
        at = above
    return False


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False
