"""The keys of the WeChat Pay sandbox: made on first start, rotated on demand; no signing happens here."""

import datetime as dt
import secrets
import string
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from sandbox.keys import KeyFolder

_YEARS_VALID = 5


@dataclass(frozen=True, kw_only=True)
class Signer:
    """One private key of the partner (or the merchant) and the serial or id it is known by."""

    serial: str
    key: rsa.RSAPrivateKey
    certificate: x509.Certificate | None = None

    @property
    def certificate_pem(self) -> str:
        if self.certificate is None:
            raise LookupError("a bare public key has no certificate")
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def normal_serial(serial: str) -> str:
    """The comparable form of a serial: upper case, no leading zeros; PUB_KEY_ID_… is not a number."""
    return serial if serial.startswith("PUB_KEY_ID_") else serial.upper().lstrip("0")


class WechatPayKeys:
    """Keys of one merchant and of the platform, in the file names that `docs/sandbox.md` lists."""

    def __init__(self, folder: KeyFolder, *, mchid: str) -> None:
        self.folder = folder
        self._mchid = mchid
        if not folder.path("wx_mch.serial").exists():
            # The merchant serial begins with a zero on purpose: tools differ in whether they print it.
            self._make_certificate("wx_mch", self._merchant_name(), leading_zero=True)
        if not folder.path("wx_plat.serial").exists():
            self._make_certificate("wx_plat", _PLATFORM, leading_zero=False)
        if not folder.path("wx_pub.id").exists():
            self._make_public_key()
        self.apiv3_key = folder.secret("wx_apiv3.key", 32)
        self.reload()

    def reload(self) -> None:
        """Read the folder again, after a rotation."""
        self.merchant = self._load("wx_mch", "serial")
        # The current one first; the one before it stays usable while a rotation is under way.
        self.platforms = [self._load(stem, "serial") for stem in ("wx_plat", "wx_plat_old") if self._has(stem)]
        self.public_keys = [self._load(stem, "id") for stem in ("wx_pub", "wx_pub_old") if self._has(stem)]

    def find(self, serial: str) -> Signer | None:
        """The platform key a client names in `Wechatpay-Serial`, current or old."""
        wanted = normal_serial(serial)
        return next((s for s in (*self.public_keys, *self.platforms) if normal_serial(s.serial) == wanted), None)

    def rotate(self, what: str, *, keep_old: bool, leading_zero: bool = False, now: dt.datetime | None = None) -> str:
        """Replace a platform certificate, public key or merchant certificate; returns the new serial or id.

        A new certificate is valid from the partner's own `now`.
        """
        if what == "platform_certificate":
            self._retire("wx_plat", keep_old=keep_old)
            self._make_certificate("wx_plat", _PLATFORM, leading_zero=leading_zero, now=now)
        elif what == "public_key":
            self._retire("wx_pub", keep_old=keep_old)
            self._make_public_key()
        elif what == "merchant_certificate":
            self._retire("wx_mch", keep_old=False)
            self._make_certificate("wx_mch", self._merchant_name(), leading_zero=leading_zero, now=now)
        else:
            raise ValueError(what)
        self.reload()
        current = {"platform_certificate": self.platforms, "public_key": self.public_keys}.get(what, [self.merchant])
        return current[0].serial

    def _merchant_name(self) -> x509.Name:
        return _name("CN", "甘肃示例商户有限公司", "MMPaymch", self._mchid)

    def _make_public_key(self) -> None:
        self.folder.rsa("wx_pub")
        digits = "".join(secrets.choice(string.digits) for _ in range(18))
        self.folder.write("wx_pub.id", f"PUB_KEY_ID_01{self._mchid}{digits}")

    def _make_certificate(
        self, stem: str, subject: x509.Name, *, leading_zero: bool, now: dt.datetime | None = None
    ) -> None:
        key = self.folder.rsa(stem)
        # Nobody checks the issuer's signature, so a short-lived issuer key is enough.
        issuer_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        first = secrets.randbelow(8) + 1 if leading_zero else secrets.randbelow(0x60) + 0x10
        serial = bytes([first]) + secrets.token_bytes(19)
        now = (now or dt.datetime.now(dt.UTC)).replace(microsecond=0)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_ISSUER)
            .public_key(key.public_key())
            .serial_number(int.from_bytes(serial, "big"))
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=365 * _YEARS_VALID))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
            .sign(issuer_key, hashes.SHA256())
        )
        self.folder.write(f"{stem}.crt", certificate.public_bytes(serialization.Encoding.PEM))
        # Last, because its presence says that the set is complete.
        self.folder.write(f"{stem}.serial", serial.hex().upper())

    def _retire(self, stem: str, *, keep_old: bool) -> None:
        for suffix in ("p8.pem", "p1.pem", "pub.pem", "crt", "serial", "id"):
            current, old = self.folder.path(f"{stem}.{suffix}"), self.folder.path(f"{stem}_old.{suffix}")
            old.unlink(missing_ok=True)
            if not current.exists():
                continue
            if keep_old:
                current.rename(old)
            else:
                current.unlink()

    def _load(self, stem: str, name: str) -> Signer:
        path = self.folder.path(f"{stem}.crt")
        certificate = x509.load_pem_x509_certificate(path.read_bytes()) if path.exists() else None
        serial = self.folder.path(f"{stem}.{name}").read_text(encoding="utf-8").strip()
        return Signer(serial=serial, key=self.folder.rsa(stem), certificate=certificate)

    def _has(self, stem: str) -> bool:
        return self.folder.path(f"{stem}.p8.pem").exists()


def _name(country: str, organisation: str, unit: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, country),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


_PLATFORM = _name("CN", "Tenpay Sandbox", "Tenpay Sandbox CA Center", "Tenpay sandbox sign")
_ISSUER = _name("CN", "Tenpay Sandbox", "Tenpay Sandbox CA Center", "Tenpay Sandbox Root CA")
