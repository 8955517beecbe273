"""A merchant written from the documentation alone: signs and verifies with the key folder, and can misbehave."""

import atexit
import base64
import json
import secrets
import shutil
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import aiohttp
import yarl
from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.keys import KeyFolder
from sandbox.serving import serving
from sandbox.wechat_pay import build
from sandbox.wechat_pay_keys import WechatPayKeys

MCHID, APPID = "1900000109", "wxd678efh567hg6787"
NOTIFY = "https://pay.example.gov.cn/notices"


@cache
def spare_keys() -> Path:
    """One key folder per test session, because making RSA keys takes a second."""
    folder = Path(tempfile.mkdtemp(prefix="wechat-pay-keys-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    WechatPayKeys(KeyFolder(folder), mchid=MCHID)
    return folder


@asynccontextmanager
async def bank(folder: Path, *, product_url: str = "http://127.0.0.1:8000"):
    """The WeChat Pay sandbox on a free port; the same folder again continues the same state."""
    target = folder / "keys" / "wechat_pay"
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
    def code(self):
        return self.json["code"]

    @property
    def is_signed(self):
        return "wechatpay-signature" in self.headers


def base(*lines: str, body: bytes = b"") -> bytes:
    return "".join(f"{line}\n" for line in lines).encode() + body + b"\n"


class Merchant:
    """One merchant with the keys of a sandbox run."""

    def __init__(self, partner, *, mode: str = "public_key"):
        self.partner, self.mode, self.folder = partner, mode, partner.keys.folder
        pem = (self.folder / "wx_mch.p8.pem").read_bytes()
        self.key = serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
        self.serial = (self.folder / "wx_mch.serial").read_text()
        self.apiv3 = (self.folder / "wx_apiv3.key").read_text()
        self.public_id = (self.folder / "wx_pub.id").read_text()

    def sign(self, data: bytes, key=None) -> str:
        return base64.b64encode((key or self.key).sign(data, padding.PKCS1v15(), hashes.SHA256())).decode()

    def authorization(self, method: str, target: str, body: bytes = b"", **change) -> str:
        fields = {
            "mchid": MCHID,
            "nonce_str": secrets.token_hex(16),
            "timestamp": str(int(time.time())),
            "serial_no": self.serial,
        } | {k: v for k, v in change.items() if k in ("mchid", "nonce_str", "timestamp", "serial_no")}
        signed = base(method, target, fields["timestamp"], fields["nonce_str"], body=body)
        fields["signature"] = change.get("signature") or self.sign(signed, change.get("key"))
        order = change.get("order") or ("mchid", "nonce_str", "signature", "timestamp", "serial_no")
        return "WECHATPAY2-SHA256-RSA2048 " + ",".join(f'{name}="{fields[name]}"' for name in order)

    async def call(
        self, method: str, target: str, content=None, *, headers=None, drop=(), authorization=None, **change
    ):
        """One request; `content` is bytes or goes as JSON; `drop` removes headers, `change` spoils signed fields."""
        body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        sent = {
            "Authorization": authorization or self.authorization(method, target, body, **change),
            "Accept": "application/json",
            "User-Agent": "merchant/1.0",
            **({"Content-Type": "application/json"} if body else {}),
            **({"Wechatpay-Serial": self.public_id} if self.mode == "public_key" else {}),
            **(headers or {}),
        }
        sent = {name: value for name, value in sent.items() if name not in drop}
        url = yarl.URL(self.partner.url + target, encoded=True)
        async with (
            aiohttp.ClientSession(skip_auto_headers=("User-Agent", "Content-Type")) as session,
            session.request(method, url, data=body or None, headers=sent) as got,
        ):
            return Got(got.status, {k.lower(): v for k, v in got.headers.items()}, await got.read())

    async def control(self, method: str, path: str, wish=None):
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.partner.url}/_control{path}", json=wish or {}) as got,
        ):
            return Got(got.status, {}, await got.read())

    async def place(self, **change):
        return await self.call("POST", "/v3/pay/transactions/jsapi", jsapi_order(**change))

    async def query(self, number: str):
        return await self.call("GET", f"/v3/pay/transactions/out-trade-no/{number}?mchid={MCHID}")

    async def close(self, number: str):
        return await self.call("POST", f"/v3/pay/transactions/out-trade-no/{number}/close", {"mchid": MCHID})

    def verifies(self, headers: dict, body: bytes, *, key_name: str | None = None) -> bool:
        """Does the proof hold with the key that `Wechatpay-Serial` names?"""
        stem = key_name or ("wx_pub" if headers["wechatpay-serial"].startswith("PUB_KEY_ID_") else "wx_plat")
        public = serialization.load_pem_public_key((self.folder / f"{stem}.pub.pem").read_bytes())
        signed = base(headers["wechatpay-timestamp"], headers["wechatpay-nonce"], body=body)
        try:
            proof = base64.b64decode(headers["wechatpay-signature"], validate=True)
            public.verify(proof, signed, padding.PKCS1v15(), hashes.SHA256())
        except Exception:
            return False
        return True

    def open(self, resource: dict) -> bytes:
        """AES-256-GCM with the APIv3 key."""
        data, extra = base64.b64decode(resource["ciphertext"]), resource["associated_data"].encode()
        return AESGCM(self.apiv3.encode()).decrypt(resource["nonce"].encode(), data, extra)


def jsapi_order(number: str = "ZSB00000000000000000000001", **change) -> dict:
    order = {
        "appid": APPID,
        "mchid": MCHID,
        "description": "老年人优待证补办工本费",
        "out_trade_no": number,
        "notify_url": NOTIFY,
        "amount": {"total": 1000, "currency": "CNY"},
        "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
    }
    order.update(change)
    return {name: value for name, value in order.items() if value is not ...}


def h5_order(number: str = "ZSB00000000000000000000002", **change) -> dict:
    scene = {"payer_client_ip": "14.23.150.211", "h5_info": {"type": "Wap"}}
    return jsapi_order(number, **({"payer": ..., "scene_info": scene} | change))


@asynccontextmanager
async def listener(*statuses: int):
    """A notify_url: answers with the given statuses in turn (the last one for ever) and keeps what came."""
    came: list[Got] = []
    server = web.Application()

    async def take(request: web.Request) -> web.Response:
        came.append(Got(0, {k.lower(): v for k, v in request.headers.items()}, await request.read()))
        return web.Response(status=statuses[min(len(came), len(statuses)) - 1])

    server.router.add_post("/notices", take)
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/notices", came
    finally:
        await runner.cleanup()
