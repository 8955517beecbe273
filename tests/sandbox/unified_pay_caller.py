"""A collecting unit written from the field tables alone: builds frames by hand, keeps the shared secret, sends what it likes."""

import asyncio
import base64
import hashlib
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from sandbox.serving import serving
from sandbox.unified_pay import build

REGION, UNIT = "620981", "11620981MB0001001X"
CODE = "62098126300000000007"


@asynccontextmanager
async def finance(folder, *, product_url: str = "http://127.0.0.1:8000"):
    """The unified payment sandbox on free ports; the same folder again continues the same state."""
    async with serving(build, folder, product_url=product_url) as partner:
        yield partner


def order_fields(code: str = CODE, order_no: str = "ORDER1", **changed) -> dict:
    fields = {
        "AdmDivCode": REGION, "PayCode": code, "ChgAgenCode": UNIT, "ChgAgenName": "玉门市民政局", "PayerName": "王䶮",
        "Amt": "10.00", "PayInfo": "YDZ-BB|老年人优待证补办工本费|10.00|证|1||0.0-0.0#", "Hold2": order_no,
    }  # fmt: skip
    return {**fields, **changed}


@dataclass
class Got:
    number: str
    fields: dict
    raw: bytes
    xml: str


class Unit:
    """One caller with the right secret."""

    def __init__(self, partner) -> None:
        self.partner = partner
        self.token = (partner.keys.folder / "unified_pay.token").read_text()

    def frame(self, number: str, fields: dict, *, msg_id: str = "M1", token: str | None = None, upper=False) -> bytes:
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
        voucher = base64.b64encode(f"<Voucher>{inner}</Voucher>".encode("gb18030")).decode()
        xml = (
            '<?xml version="1.0" encoding="GBK"?><CFX><HEAD><APP>CNNONTAX</APP><VER>1.0</VER><SRC>K</SRC><DES>F</DES>'
            f"<MsgNo>{number}</MsgNo><MsgID>{msg_id}</MsgID><MsgRef></MsgRef><WorkDate>20261120</WorkDate><Reserve/></HEAD>"
            f"<MSG><MOF><VoucherCount>1</VoucherCount><VoucherBody><Voucher>{voucher}</Voucher></VoucherBody></MOF></MSG></CFX>"
        )
        mac = hashlib.sha256(((token or self.token) + xml).encode()).hexdigest()
        rest = f"CNNONTAX1.0{number}{xml}{mac.upper() if upper else mac}"
        return f"{8 + len(rest):<8}{rest}".encode()

    def opened(self, raw: bytes) -> Got:
        """Checks length and hash of one frame by hand and opens its voucher."""
        text = raw.decode("ascii")
        assert int(text[:8]) == len(text) and text[8:19] == "CNNONTAX1.0"
        xml, mac = text[23:-64], text[-64:]
        assert hashlib.sha256((self.token + xml).encode()).hexdigest().upper() == mac, "the platform writes capitals"
        inner = base64.b64decode(re.search("<Voucher>(.*?)</Voucher>", xml)[1]).decode("gb18030")
        fields = dict(re.findall(r"<(\w+)>([^<]*)</\1>", inner.removeprefix("<Voucher>").removesuffix("</Voucher>")))
        return Got(text[19:23], fields, raw, xml)

    async def send(self, data: bytes, *, answers: int = 1, pause: bool = False) -> list[Got]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.partner.listener.port)
        try:
            for piece in [bytes((byte,)) for byte in data] if pause else [data]:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            found = []
            for _ in range(answers):
                head = await reader.readexactly(8)
                found.append(self.opened(head + await reader.readexactly(int(head) - 8)))
            return found
        finally:
            writer.close()

    async def ask(self, number: str, fields: dict, **more) -> Got:
        return (await self.send(self.frame(number, fields, **more)))[0]

    async def place(self, code: str = CODE, order_no: str = "ORDER1", **changed) -> Got:
        return await self.ask("8994", order_fields(code, order_no, **changed), msg_id=order_no)

    async def control(self, method: str, path: str, wish=None, *, status: int = 200):
        url = f"{self.partner.url}/_control{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url, json=wish) as answer:
            found = await answer.json()
            assert answer.status == status, found
            return found
