"""A contract customer written from the protocol page alone: builds SM4 envelopes, and can misbehave on purpose."""

import base64
import datetime as dt
import json
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlencode

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

CHINA = dt.timezone(dt.timedelta(hours=8))
PATH = "/amp-prod-api/f/amp/api/open"


def encrypt(text: str, key: str) -> str:
    data = text.encode()
    data += bytes([16 - len(data) % 16]) * (16 - len(data) % 16)
    cipher = Cipher(algorithms.SM4(base64.b64decode(key)), modes.ECB()).encryptor()
    return "|$4|" + base64.b64encode(cipher.update(data) + cipher.finalize()).decode()


def decrypt(envelope: str, key: str) -> str:
    cipher = Cipher(algorithms.SM4(base64.b64decode(key)), modes.ECB()).decryptor()
    data = cipher.update(base64.b64decode(envelope.removeprefix("|$4|"))) + cipher.finalize()
    return data[: -data[-1]].decode()


def now() -> str:
    return dt.datetime.now(CHINA).strftime("%Y-%m-%d %H:%M:%S")


PARTY = {
    "name": "王小明",
    "mobile": "13900000001",
    "prov": "甘肃省",
    "city": "酒泉市",
    "county": "玉门市",
    "address": "新市区街道中坪路1号",
}


def order(number: str = "D0000000000000000000000001", **change) -> dict:
    return {
        "ecommerceUserId": f"U{number}",
        "logisticsOrderNo": number,
        "createdTime": now(),
        "contentsAttribute": "1",
        "bizProductNo": "1",
        "paymentMode": "1",
        "sender": PARTY | {"name": "玉门市政务服务中心"},
        "receiver": PARTY,
        "cargos": [{"cargoName": "证照", "cargoWeight": 100}],
        **change,
    }


class Customer:
    def __init__(self, partner):
        self.partner, environment = partner, partner.environment()
        self.sender_no, self.authorization = environment["EMS_SENDER_NO"], environment["EMS_AUTHORIZATION"]
        self.key, self.url = environment["EMS_SIGN_KEY"], environment["EMS_BASE_URL"]

    async def raw(self, code: str, content, *, envelope=None, form=None, headers=None, drop=(), **change):
        """(status, text) of one call; `change` replaces form fields."""
        fields = {
            "apiCode": code,
            "senderNo": self.sender_no,
            "authorization": self.authorization,
            "msgType": "0",
            "timeStamp": now(),
            "version": "V1.0.0",
            "logitcsInterface": envelope or encrypt(json.dumps(content, ensure_ascii=False) + self.key, self.key),
            **change,
        }
        body = form or urlencode({name: value for name, value in fields.items() if name not in drop})
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8", **(headers or {})}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url + PATH, data=body.encode(), headers=headers) as got,
        ):
            return got.status, await got.text()

    async def call(self, code: str, content, **change) -> dict:
        status, text = await self.raw(code, content, **change)
        assert status == 200
        answer = json.loads(text)
        assert set(answer) == {"serialNo", "retCode", "retMsg", "retDate", "retBody"}
        return answer

    async def body(self, code: str, content):
        """The readable retBody of a successful call."""
        answer = await self.call(code, content)
        assert answer["retCode"] == "00000", answer
        return json.loads(answer["retBody"])

    async def book(self, number: str = "D0000000000000000000000001", **change) -> str:
        return (await self.body("020003", [order(number, **change)]))["waybillNo"]

    async def control(self, method: str, path: str, wish=None):
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}/_control{path}", json=wish or {}) as got,
        ):
            return got.status, await got.json()

    async def event(self, waybill_no: str, name: str, **more):
        status, answer = await self.control("POST", f"/parcels/{waybill_no}/event", {"name": name, **more})
        assert status == 200, answer
        return answer


@asynccontextmanager
async def listener(customer_key, *verdicts):
    """The callback URL: acknowledges, or answers a verdict in turn (the last one for ever), and keeps what came."""
    came: list[dict] = []
    server = web.Application()

    async def take(request: web.Request) -> web.Response:
        raw = (await request.read()).decode()
        if request.content_type == "application/json":
            outer = json.loads(raw)
        else:
            outer = {name: values[0] for name, values in parse_qs(raw, strict_parsing=True).items()}
        text = decrypt(outer["logitcsInterface"], customer_key)
        suffixed = text.endswith(customer_key)
        came.append({"outer": outer, "suffixed": suffixed, "event": json.loads(text.removesuffix(customer_key))})
        code = verdicts[min(len(came), len(verdicts)) - 1] if verdicts else "00000"
        answer = {"serialNo": outer["serialNo"], "code": code, "codeMessage": "成功", "senderNo": outer["senderNo"]}
        return web.json_response(answer)

    server.router.add_post("/api/v1/callbacks/courier/ems", take)
    runner = web.AppRunner(server, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1/callbacks/courier/ems", came
    finally:
        await runner.cleanup()
