"""The keys and certificates of the Alipay sandbox: made on first start, rotated on demand; no signing happens here."""

import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from sandbox.keys import KeyFolder

_YEARS_VALID = 5
_RSA_SIGNATURES = "1.2.840.113549.1.1."
_DN = ((NameOID.COMMON_NAME, "CN"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "OU"), (NameOID.ORGANIZATION_NAME, "O"))
_SUFFIXES = ("p8.pem", "p1.pem", "pub.pem", "crt")

# A genuine SM2 root (SM3 signature, made once with openssl, its key thrown away): `cryptography` cannot make one, and
# a root file without one would not show a client that must skip it.
_SM2_ROOT = """\
-----BEGIN CERTIFICATE-----
MIICUTCCAfegAwIBAgIIbS8cmkt+UIMwCgYIKoEcz1UBg3UwgYIxCzAJBgNVBAYT
AkNOMRowGAYDVQQKDBFTYW5kYm94IEZpbmFuY2lhbDEgMB4GA1UECwwXQ2VydGlm
aWNhdGlvbiBBdXRob3JpdHkxNTAzBgNVBAMMLFNhbmRib3ggRmluYW5jaWFsIENl
cnRpZmljYXRpb24gQXV0aG9yaXR5IEUxMCAXDTI2MTEyMDE0MDQxNFoYDzIwNTEx
MTE0MTQwNDE0WjCBgjELMAkGA1UEBhMCQ04xGjAYBgNVBAoMEVNhbmRib3ggRmlu
YW5jaWFsMSAwHgYDVQQLDBdDZXJ0aWZpY2F0aW9uIEF1dGhvcml0eTE1MDMGA1UE
AwwsU2FuZGJveCBGaW5hbmNpYWwgQ2VydGlmaWNhdGlvbiBBdXRob3JpdHkgRTEw
WTATBgcqhkjOPQIBBggqgRzPVQGCLQNCAAQkB6UqQOKaefSyOT8wiKdeE6djBo52
gfbRgaKGVua0huUQvAiy/2BPT0MBUlFb5vWq9XVQ2GVZ0jaV9RAmA2eDo1MwUTAd
BgNVHQ4EFgQUt6BP6kTDxKzEVZAjEx1Lyr4bUKkwHwYDVR0jBBgwFoAUt6BP6kTD
xKzEVZAjEx1Lyr4bUKkwDwYDVR0TAQH/BAUwAwEB/zAKBggqgRzPVQGDdQNIADBF
AiEAs9Jf+Y6yYTyy8mJhoLKLwqmpRn8Gh0ObKG1AcrIpUD0CIEcMM0rzww2W8BzJ
iBIyHEa8EjbNzDH+D8bNPr1ZfYvP
-----END CERTIFICATE-----
"""


@dataclass(frozen=True, kw_only=True)
class Signer:
    """One key pair with its certificate and the certificate's SN."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    sn: str


def certificate_sn(certificate: x509.Certificate) -> str:
    """Lower-case hex MD5 of the issuer (CN, OU, O, C) and the decimal serial."""
    issuer = certificate.issuer
    parts = [f"{word}={issuer.get_attributes_for_oid(oid)[0].value!s}" for oid, word in (*_DN, (_COUNTRY, "C"))]
    text = ",".join(parts) + str(certificate.serial_number)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def root_sn(pem: bytes) -> str:
    """The SNs of the RSA-signed certificates of a root file, in file order, joined by `_`."""
    found = x509.load_pem_x509_certificates(pem)
    signed_by_rsa = [c for c in found if c.signature_algorithm_oid.dotted_string.startswith(_RSA_SIGNATURES)]
    return "_".join(certificate_sn(c) for c in signed_by_rsa)


class AlipayKeys:
    """Keys of one application and of Alipay, in the file names that `docs/sandbox.md` lists."""

    def __init__(self, folder: KeyFolder, *, app_id: str, seller_id: str) -> None:
        self.folder = folder
        self._subjects = {
            "ali_app": _name("沙箱示例县", "Alipay", f"{seller_id}-{app_id}"),
            "ali_plat": _name("支付宝(中国)网络技术有限公司", "Alipay", f"支付宝(中国)网络技术有限公司-{seller_id}"),
        }
        # The authorities' private key stays in the folder: a rotated certificate must come from the same root.
        self._authority = folder.rsa("ali_ca")
        folder.bytes("ali_root.crt", self._make_roots)
        for stem in self._subjects:
            folder.rsa(stem)
            if not folder.path(f"{stem}.crt").exists():
                self._make_certificate(stem)
        self.reload()

    def reload(self) -> None:
        """Read the folder again, after a rotation."""
        self.app = self._load("ali_app")
        self.platform = self._load("ali_plat")
        self.root_sn = root_sn(self.folder.path("ali_root.crt").read_bytes())

    def platform_file(self, sn: str) -> bytes | None:
        """The file of Alipay's certificate with this SN, the current one or the one before it."""
        for stem in ("ali_plat", "ali_plat_old"):
            if self.folder.path(f"{stem}.crt").exists() and self._load(stem).sn == sn:
                return self.folder.path(f"{stem}.crt").read_bytes()
        return None

    def old_key(self) -> rsa.RSAPrivateKey:
        """Alipay's key before the last rotation; the current one when there was none."""
        return self._load("ali_plat_old").key if self.folder.path("ali_plat_old.crt").exists() else self.platform.key

    def foreign_key(self) -> rsa.RSAPrivateKey:
        """A key that no client knows of, for messages that must be refused."""
        return self._authority

    def rotate(self, what: str, *, keep_old: bool) -> str:
        """Replace Alipay's or the application's key pair and certificate; returns the new SN."""
        stem = {"alipay_certificate": "ali_plat", "app_certificate": "ali_app"}[what]
        for suffix in _SUFFIXES:
            current, old = self.folder.path(f"{stem}.{suffix}"), self.folder.path(f"{stem}_old.{suffix}")
            old.unlink(missing_ok=True)
            if keep_old:
                current.rename(old)
            else:
                current.unlink()
        self.folder.rsa(stem)
        self._make_certificate(stem)
        self.reload()
        return (self.platform if stem == "ali_plat" else self.app).sn

    def _load(self, stem: str) -> Signer:
        certificate = x509.load_pem_x509_certificates(self.folder.path(f"{stem}.crt").read_bytes())[0]
        return Signer(key=self.folder.rsa(stem), certificate=certificate, sn=certificate_sn(certificate))

    def _make_roots(self) -> bytes:
        """SM2, RSA, elliptic, RSA: a client that counts all of them, or only the first, gets another SN."""
        elliptic = ec.generate_private_key(ec.SECP256R1())
        first = _certify(_ROOT, _ROOT, self._authority.public_key(), self._authority, hashes.SHA256(), authority=True)
        third = _certify(_EC_ROOT, _EC_ROOT, elliptic.public_key(), elliptic, hashes.SHA256(), authority=True)
        other = _certify(
            _OLD_ROOT, _OLD_ROOT, self._authority.public_key(), self._authority, hashes.SHA512(), authority=True
        )
        return _SM2_ROOT.encode() + b"".join(_pem(c) for c in (first, third, other))

    def _make_certificate(self, stem: str) -> None:
        """The certificate first and then its intermediate, as one file."""
        public = self.folder.rsa(stem).public_key()
        leaf = _certify(self._subjects[stem], _ISSUER, public, self._authority, hashes.SHA256(), authority=False)
        above = _certify(_ISSUER, _ROOT, self._authority.public_key(), self._authority, hashes.SHA256(), authority=True)
        self.folder.write(f"{stem}.crt", _pem(leaf) + _pem(above))


def _certify(
    subject: x509.Name,
    issuer: x509.Name,
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    signer: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    algorithm: hashes.SHA256 | hashes.SHA512,
    *,
    authority: bool,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    # The top bit of the first byte stays free: with it a signed reading of the serial would turn negative.
    serial = int.from_bytes(bytes([secrets.randbelow(0x60) + 0x10]) + secrets.token_bytes(15), "big")
    builder = builder.serial_number(serial).not_valid_before(now - dt.timedelta(days=1))
    builder = builder.not_valid_after(now + dt.timedelta(days=365 * _YEARS_VALID))
    return builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True).sign(
        signer, algorithm
    )


def _name(organisation: str, unit: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(_COUNTRY, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


_COUNTRY = NameOID.COUNTRY_NAME
_CA = "Sandbox Financial Certification Authority"
_ROOT = _name("Sandbox Financial", "Certification Authority", f"{_CA} R1")
_OLD_ROOT = _name("Sandbox Financial", "Certification Authority", f"{_CA} R0")
_EC_ROOT = _name("Sandbox Financial", "Certification Authority", f"{_CA} C1")
_ISSUER = _name("Sandbox Financial", "Certification Authority", f"{_CA} Class 2 R1")
