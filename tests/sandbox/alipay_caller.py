"""A merchant written from the documentation alone: signs and verifies with plain `cryptography`, and can misbehave."""

import atexit
import base64
import json
import re
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import aiohttp
import yarl
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from sandbox.alipay import build
from sandbox.alipay_keys import AlipayKeys
from sandbox.keys import KeyFolder
from sandbox.serving import serving

APP_ID, SELLER_ID = "2021000000000001", "2088000000000001"
NUMBER = "ZSB00000000000000000000001"
OPEN_ID = "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5"
BEIJING = timezone(timedelta(hours=8))


@cache
def spare_keys() -> Path:
    """One key folder per test session, because making RSA keys takes a second."""
    folder = Path(tempfile.mkdtemp(prefix="alipay-keys-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    AlipayKeys(KeyFolder(folder), app_id=APP_ID, seller_id=SELLER_ID)
    return folder


@asynccontextmanager
async def bank(folder: Path, *, product_url: str = "http://127.0.0.1:8000"):
    """The Alipay sandbox on a free port; the same folder again continues the same state."""
    target = folder / "keys" / "alipay"
    if not target.exists():
        shutil.copytree(spare_keys(), target)
    async with serving(build, folder, product_url=product_url) as partner:
        yield partner


@dataclass
class Got:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def node(self) -> dict:
        """The one node whose name ends in `_response`."""
        (found,) = [value for name, value in self.json.items() if name.endswith("_response")]
        return found

    @property
    def sub_code(self):
        return self.node.get("sub_code")

    @property
    def is_signed(self):
        return "sign" in self.json


def members(body: bytes) -> dict[str, str]:
    """The raw text of every top-level member, found by scanning and never by counting braces."""
    text = body.decode("utf-8")
    scan, at, found = json.JSONDecoder().raw_decode, 1, {}
    assert text[0] == "{"
    while True:
        name, at = scan(text, at)
        assert text[at] == ":"
        _, end = scan(text, at + 1)
        assert name not in found, "duplicate member"
        found[name] = text[at + 1 : end]
        if text[end] == "}":
            assert end + 1 == len(text), "trailing data"
            return found
        assert text[end] == ","
        at = end + 1


class Merchant:
    """One application with the keys of a sandbox run."""

    def __init__(self, partner, *, certificates: bool = False):
        self.partner, self.certificates, self.folder = partner, certificates, partner.keys.folder
        self.key = self.private("ali_app")
        self.notify_url: str | None = None

    def private(self, stem: str, form: str = "p8"):
        return serialization.load_pem_private_key(
            (self.folder / f"{stem}.{form}.pem").read_bytes(), None, unsafe_skip_rsa_key_validation=True
        )

    def sn(self, certificate) -> str:
        """MD5 of the issuer, most specific part first, and the decimal serial."""
        digest = hashes.Hash(hashes.MD5())
        issuer = certificate.issuer.rfc4514_string()
        digest.update(f"{issuer}{certificate.serial_number}".encode())
        return digest.finalize().hex()

    def serials(self) -> dict[str, str]:
        """`app_cert_sn` and `alipay_root_cert_sn` from the files."""
        app = x509.load_pem_x509_certificates((self.folder / "ali_app.crt").read_bytes())[0]
        roots = x509.load_pem_x509_certificates((self.folder / "ali_root.crt").read_bytes())
        rsa_only = [c for c in roots if c.signature_algorithm_oid.dotted_string.startswith("1.2.840.113549.1.1")]
        return {"app_cert_sn": self.sn(app), "alipay_root_cert_sn": "_".join(self.sn(c) for c in rsa_only)}

    def params(self, called: str, content=None, *, algorithm=None, key=None, **change) -> dict[str, str]:
        """Signed parameters; `change` sets or (with ...) removes them before signing."""
        now = datetime.now(UTC).astimezone(BEIJING)
        made = {
            "app_id": APP_ID,
            "method": called,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": now.strftime("%Y-%m-%d %H:%M:%S"),
            "version": "1.0",
            **({"notify_url": self.notify_url} if self.notify_url else {}),
            **(self.serials() if self.certificates else {}),
            **({} if content is None else {"biz_content": json.dumps(content, ensure_ascii=False)}),
            **change,
        }
        made = {name: value for name, value in made.items() if value is not ...}
        encoding = "gbk" if made.get("charset") == "gbk" else "utf-8"
        base = "&".join(f"{k}={v}" for k, v in sorted(made.items()) if v != "")
        proof = (key or self.key).sign(base.encode(encoding), padding.PKCS1v15(), algorithm or hashes.SHA256())
        return {**made, "sign": base64.b64encode(proof).decode()}

    async def send(self, params: dict[str, str], *, query=(), http: str = "POST") -> Got:
        """Parameters named in `query` (or all, for GET) travel in the address, the rest in the body."""
        encoding = "gbk" if params.get("charset") == "gbk" else "utf-8"
        in_query = {k: v for k, v in params.items() if http == "GET" or k in query}
        target = f"{self.partner.url}/gateway.do" + (f"?{urlencode(in_query, encoding=encoding)}" if in_query else "")
        rest = {k: v for k, v in params.items() if k not in in_query}
        body = urlencode(rest, encoding=encoding) if http == "POST" else None
        headers = {"Content-Type": f"application/x-www-form-urlencoded;charset={encoding}"} if body else {}
        return await fetch(http, target, body, headers)

    async def call(self, called: str, content=None, **change) -> Got:
        return await self.send(self.params(called, content, **change))

    async def control(self, method: str, path: str, wish=None) -> Got:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.partner.url}/_control{path}", json=wish or {}) as got,
        ):
            return Got(got.status, {}, await got.read())

    async def config(self, **wish) -> None:
        assert (await self.control("POST", "/config", wish)).status == 200

    async def fault(self, call: str, effect: dict, times: int = 1) -> None:
        assert (await self.control("POST", "/faults", {"match": {"call": call}, "times": times, "effect": effect})).status == 200  # fmt: skip

    async def create(self, **change) -> Got:
        return await self.call("alipay.trade.create", order(**change))

    async def query(self, number: str = NUMBER, **more) -> Got:
        return await self.call("alipay.trade.query", {"out_trade_no": number, **more})

    async def close(self, number: str = NUMBER) -> Got:
        return await self.call("alipay.trade.close", {"out_trade_no": number})

    async def refund(self, amount: str, request_no=..., number: str = NUMBER, **more) -> Got:
        content = {"out_trade_no": number, "refund_amount": amount, "out_request_no": request_no, **more}
        return await self.call("alipay.trade.refund", {k: v for k, v in content.items() if v is not ...})

    async def refund_query(self, request_no: str, number: str = NUMBER, **more) -> Got:
        content = {"out_trade_no": number, "out_request_no": request_no, **more}
        return await self.call("alipay.trade.fastpay.refund.query", content)

    async def pay(self, number: str = NUMBER, **wish) -> Got:
        return await self.control("POST", f"/orders/{number}/pay", wish)

    async def paid(self, **change) -> None:
        """A trade of the given content that has been paid, without a notice."""
        assert (await self.create(**change)).node["code"] == "10000"
        assert (await self.pay(change.get("out_trade_no", NUMBER), notify=False)).status == 200

    def verifies(self, got: Got, *, stem: str = "ali_plat") -> bool:
        """Does the proof cover exactly the bytes of the node?"""
        found = members(got.body)
        (text,) = [text for name, text in found.items() if name.endswith("_response")]
        return "sign" in found and self.is_proof(json.loads(found["sign"]), text, stem=stem)

    def is_proof(self, signature: str, text: str, *, stem: str = "ali_plat", algorithm=None, encoding="utf-8") -> bool:
        public = serialization.load_pem_public_key((self.folder / f"{stem}.pub.pem").read_bytes())
        try:
            proof = base64.b64decode(signature, validate=True)
            public.verify(proof, text.encode(encoding), padding.PKCS1v15(), algorithm or hashes.SHA256())
        except Exception:
            return False
        return True


def order(**change) -> dict:
    made = {
        "out_trade_no": NUMBER,
        "total_amount": "10.00",
        "subject": "老年人优待证补办工本费",
        "product_code": "JSAPI_PAY",
        "op_app_id": "2021000000000002",
        "buyer_open_id": OPEN_ID,
    }
    made.update(change)
    return {name: value for name, value in made.items() if value is not ...}


def wap_order(**change) -> dict:
    return order(**({"product_code": "QUICK_WAP_WAY", "op_app_id": ..., "buyer_open_id": ...} | change))


async def fetch(http: str, url: str, body=None, headers=None) -> Got:
    async with (
        aiohttp.ClientSession(skip_auto_headers=("Content-Type",)) as session,
        session.request(
            http, yarl.URL(url, encoded=True), data=body, headers=headers or {}, allow_redirects=False
        ) as got,
    ):
        return Got(got.status, {k.lower(): v for k, v in got.headers.items()}, await got.read())


@dataclass
class Notice:
    """One notice as it came over the wire."""

    headers: dict
    body: bytes

    @property
    def pairs(self) -> list[tuple[str, str]]:
        encoding = "gb18030" if b"charset=gbk" in self.body.lower() else "utf-8"
        return parse_qsl(self.body.decode("ascii"), keep_blank_values=True, encoding=encoding, strict_parsing=True)

    @property
    def fields(self) -> dict[str, str]:
        return dict(self.pairs)

    def base(self, *, blanks: bool = False, sign_type: bool = False) -> str:
        """The string to sign: without `sign` and, unlike a request, without `sign_type`."""
        dropped = {"sign"} if sign_type else {"sign", "sign_type"}
        kept = {k: v for k, v in self.pairs if k not in dropped and (v != "" or blanks)}
        return "&".join(f"{k}={v}" for k, v in sorted(kept.items()))


def is_genuine(merchant: Merchant, notice: Notice, **rule) -> bool:
    """What a careful merchant accepts: no name twice, RSA2 named, SHA-256 with Alipay's key."""
    if (
        len(notice.pairs) != len(notice.fields)
        or notice.fields.get("sign_type") != "RSA2"
        or "sign" not in notice.fields
    ):
        return False
    encoding = "gb18030" if notice.fields.get("charset", "").lower() == "gbk" else "utf-8"
    return merchant.is_proof(notice.fields["sign"], notice.base(**rule), encoding=encoding)


@asynccontextmanager
async def listener(*answers: bytes | int):
    """A notify_url: answers with the given bodies or statuses in turn (the last one for ever) and keeps what came."""
    came: list[Notice] = []
    server = web.Application()

    async def take(request: web.Request) -> web.Response:
        came.append(Notice({k.lower(): v for k, v in request.headers.items()}, await request.read()))
        answer = answers[min(len(came), len(answers)) - 1]
        if isinstance(answer, int):
            return web.Response(status=answer, body=b"success", headers={"Location": "/elsewhere"})
        return web.Response(body=answer, content_type="text/plain")

    server.router.add_post("/notices", take)
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/notices", came
    finally:
        await runner.cleanup()


def hidden(page: str, name: str) -> str:
    """The value of a hidden field of a page."""
    return re.search(rf'name="{name}" value="([^"]*)"', page)[1]
