"""Alipay's side written from the documentation alone: signs nodes and notices and issues certificates with keys of its own."""

import base64
import datetime as dt
import json
from functools import cache
from urllib.parse import parse_qsl, urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from kernel import clock
from kernel.http import Answer, Partner
from payments.gateways.alipay.client import AlipayClient
from payments.gateways.alipay.gateway import AlipayGateway
from payments.gateways.alipay.keys import KeyTable
from payments.gateways.alipay.requests import Application

APPID, SELLER, MINI = "2021000000000001", "2088000000000001", "2021000000000099"
NOTIFY = "https://pay.example.gov.cn/api/v1/callbacks/alipay"
GATEWAY = "https://openapi.alipay.com/gateway.do"


@cache
def key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """One key per name and session, because making one takes time."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def pem(name: str) -> bytes:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return key(name).public_key().public_bytes(serialization.Encoding.PEM, spki)


def private_pem(name: str, form=serialization.PrivateFormat.PKCS8) -> bytes:
    return key(name).private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def sign(data: bytes, *, signer: str = "alipay", sha1: bool = False) -> str:
    used = hashes.SHA1() if sha1 else hashes.SHA256()
    return base64.b64encode(key(signer).sign(data, padding.PKCS1v15(), used)).decode()


def name(common: str) -> x509.Name:
    parts = ((NameOID.COUNTRY_NAME, "CN"), (NameOID.ORGANIZATION_NAME, "Ant Financial"), (NameOID.ORGANIZATIONAL_UNIT_NAME, "Certification Authority"), (NameOID.COMMON_NAME, common))  # fmt: skip
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def certificate(
    owner: str, *, issuer: str, serial: int, authority: bool = False, days: float = 30, elliptic: bool = False
) -> x509.Certificate:
    """A certificate of the named key, valid from yesterday; `elliptic` stands for the SM2 ones of the root file."""
    now = clock.now()
    holder = ec.generate_private_key(ec.SECP256R1()) if elliptic else key(owner)
    return (
        x509.CertificateBuilder()
        .subject_name(name(owner))
        .issuer_name(name(issuer))
        .public_key(holder.public_key())
        .serial_number(serial)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(holder if elliptic else key(issuer), hashes.SHA256())
    )


def as_pem(*found: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in found)


def node_name(method: str) -> str:
    return method.replace(".", "_") + "_response"


def answer(method: str, node: dict | str, *, signer: str | None = "alipay", sn: str | None = None, **more) -> bytes:
    """An answer as the gateway writes it. `node` as text stays as it is; `signer` None leaves it unsigned."""
    text = node if isinstance(node, str) else json.dumps(node, ensure_ascii=False)
    parts = [f'"{more.get("named") or node_name(method)}":{text}']
    if sn is not None:
        parts.append(f'"alipay_cert_sn":"{sn}"')
    if signer is not None:
        parts.append(f'"sign":"{more.get("sign") or sign(text.encode(), signer=signer)}"')
    return ("{" + ",".join(parts) + "}").encode()


def notice_fields(payment_no: str, **changed) -> dict:
    """A payment notice; None removes a field."""
    fields = {
        "notify_time": "2026-11-19 10:00:05",
        "notify_type": "trade_status_sync",
        "notify_id": "2026111900222100005012345678901234",
        "app_id": APPID,
        "auth_app_id": APPID,
        "charset": "utf-8",
        "version": "1.0",
        "sign_type": "RSA2",
        "trade_no": "2026111922001412345678901234",
        "out_trade_no": payment_no,
        "trade_status": "TRADE_SUCCESS",
        "total_amount": "10.00",
        "receipt_amount": "10.00",
        "seller_id": SELLER,
        "subject": "老年人优待证补办工本费",
        "buyer_open_id": "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5",
        "gmt_payment": "2026-11-19 10:00:00",
        "fund_bill_list": '[{"amount":"10.00","fundChannel":"ALIPAYACCOUNT"}]',
    }
    fields.update(changed)
    return {name: value for name, value in fields.items() if value is not None}


def signed_notice(
    fields: dict, *, over: str = "as received", signer: str = "alipay", sha1: bool = False, charset: str = "utf-8"
) -> bytes:
    """The form of a notice, signed over one of the three strings."""
    left_out = {"sign"} if over == "with sign_type" else {"sign", "sign_type"}
    pairs = sorted((n, v) for n, v in fields.items() if n not in left_out and (v or over != "without empty"))
    text = "&".join(f"{n}={v}" for n, v in pairs)
    return urlencode(
        {**fields, "sign": sign(text.encode(charset), signer=signer, sha1=sha1)}, encoding=charset
    ).encode()


class Wire(Partner):
    """Instead of a network: answers what the test prepared and keeps what was sent."""

    def __init__(self) -> None:
        super().__init__("alipay", GATEWAY)
        self.answers: list[bytes | Exception] = []
        self.sent: list[dict] = []

    async def request(self, method, target, *, headers=None, body=None, **more) -> Answer:
        assert method == "POST"
        both = parse_qsl(target.removeprefix("?"), keep_blank_values=True) + parse_qsl(body.decode("ascii"))
        assert len(dict(both)) == len(both), "a parameter twice"
        self.sent.append(dict(both))
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return Answer(200, {}, found)


class Store:
    """A certificate store that counts how often it is read."""

    def __init__(self) -> None:
        self.rows, self.loads = [], 0

    async def load(self, channel):
        self.loads += 1
        return list(self.rows)

    async def save(self, channel, found):
        self.rows.extend(found)


class News:
    """Who is told that a certificate is missing."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def __call__(self, channel: str, serial: str = "") -> None:
        self.told.append(serial)


def application(**more) -> Application:
    return Application(app_id=APPID, seller_id=SELLER, key=key("app"), **more)


def key_mode() -> KeyTable:
    return KeyTable(channel="alipay", public_key=key("alipay").public_key(), store=Store(), news=News())


def gateway(keys: KeyTable | None = None, **more) -> tuple[AlipayGateway, Wire]:
    """The gateway over a prepared wire."""
    wire = Wire()
    client = AlipayClient(partner=wire, application=application(**more), keys=keys or key_mode())
    return AlipayGateway(client=client, notify_url=NOTIFY, mini_app_id=MINI), wire
