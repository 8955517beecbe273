"""Two kinds of clients: honest ones who remember what they were told, and rude ones who hang up at any moment with a reset."""

import asyncio
import json
import random
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp

from deploy.local.people import Json
from deploy.local.story import ITEM, REGION, TOWN
from tests.reliability.books import Database
from tests.reliability.citizens import Citizen, Town

_RESET = struct.pack("ii", 1, 0)  # linger 0: the kernel answers with RST instead of FIN


@dataclass
class Honest:
    """One citizen's phone on one keep-alive connection: opens a draft, saves it again and again, asks for quotes, and notes every answer."""

    citizen: Citizen
    patient: bool = False  # repeats 503 and broken lines with the same key, as the real phone does
    pause_seconds: float = 0.6
    case_no: str = ""
    saved: int = 0  # the last content that was acknowledged
    quotes: list[str] = field(default_factory=list)
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    worst_seconds: float = 0.0
    last_success: float = 0.0

    async def prepare(self) -> None:
        for step in (self.citizen.log_in, self.citizen.prove_identity):
            await step()
        opened = await self.citizen.cast.citizen.call(
            "POST", "/api/v1/cases", {"item_code": ITEM, "region_code": REGION}, key=self.citizen.key("open")
        )
        self.case_no = opened["case_no"]

    async def work(self, stop: asyncio.Event) -> None:
        connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=60)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=20)) as session:
            number = 0
            while not stop.is_set():
                number += 1
                draft = {"form": {"contact_mobile": f"139{number:08d}"}}
                if await self._ask(session, "PUT", f"/api/v1/cases/{self.case_no}", draft, stop) is not None:
                    self.saved = number
                if number % 4 == 1:
                    quote = await self._ask(session, "GET", f"/api/v1/delivery-quotes?region_code={TOWN}", None, stop)
                    if quote is not None:
                        self.quotes.append(quote["quote_no"])
                await asyncio.sleep(self.pause_seconds)

    async def _ask(
        self, session: aiohttp.ClientSession, method: str, path: str, body: Json | None, stop: asyncio.Event
    ) -> Json | None:
        phone, began = self.citizen.cast.citizen, time.monotonic()
        headers = {"Authorization": f"Bearer {phone.token}"}
        while True:
            try:
                async with session.request(method, phone.base + path, json=body, headers=headers) as answer:
                    content, trouble = await answer.json(content_type=None), f"{answer.status}"
                    if answer.status == 200:
                        self.answered += 1
                        self.last_success = time.monotonic()
                        self.worst_seconds = max(self.worst_seconds, self.last_success - began)
                        return content
                    trouble += f" {content.get('code')}"
                    may_repeat = answer.status == 503
            except (aiohttp.ClientError, TimeoutError) as error:
                may_repeat, trouble = True, type(error).__name__
            if not (self.patient and may_repeat):
                self.failures.append(f"{method} {path} → {trouble}")
                return None
            if stop.is_set():
                return None
            await asyncio.sleep(0.1)

    async def audit(self, database: Database) -> list[str]:
        """Everything that was acknowledged is there."""
        found = []
        view = await self.citizen.cast.citizen.call("GET", f"/api/v1/cases/{self.case_no}")
        stored = int(view["case"]["draft"]["form"]["contact_mobile"][3:])
        if stored < self.saved:
            found.append(f"{self.citizen.person}: draft {self.saved} was acknowledged, {stored} is stored")
        rows = {row["quote_no"] for row in await database.rows("SELECT quote_no FROM delivery_quote")}
        lost = [quote_no for quote_no in self.quotes if quote_no not in rows]
        if lost:
            found.append(f"{self.citizen.person}: {len(lost)} of {len(self.quotes)} acknowledged quotes are missing")
        return found


async def honest_people(town: Town, count: int, *, patient: bool = False, pause_seconds: float = 0.6) -> list[Honest]:
    people = [Honest(await town.newcomer(), patient=patient, pause_seconds=pause_seconds) for _ in range(count)]
    await asyncio.gather(*(person.prepare() for person in people))
    return people


@dataclass
class Rude:
    """Sends whole requests and hangs up 0 to 15 ms later. `wires` are ready-made bytes: writes, reads, signed callbacks."""

    port: int
    wires: list[bytes]
    dice: random.Random
    hung_up: int = 0

    async def rage(self, stop: asyncio.Event, tickets: Iterator[float]) -> None:
        """Takes tickets until there are none; a ticket is the moment before which its request must not begin."""
        loop = asyncio.get_running_loop()
        for moment in tickets:
            if stop.is_set():
                return
            await asyncio.sleep(max(0.0, moment - time.monotonic()))
            line = socket.socket()
            line.setblocking(False)
            try:
                await loop.sock_connect(line, ("127.0.0.1", self.port))
                await loop.sock_sendall(line, self.dice.choice(self.wires))
                await asyncio.sleep(self.dice.uniform(0, 0.015))
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self.hung_up += 1
            except OSError:
                await asyncio.sleep(0.01)
            finally:
                line.close()


def wire(method: str, path: str, *, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    """One HTTP request as bytes."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: phone",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def rude_wires(town: Town, people: list[Honest]) -> list[bytes]:
    """What the rude ask for: signed pushes that are stored in a transaction, drafts, drafts of others, lists, logins."""
    wires = []
    for number in range(60):
        event = {
            "event": "subscribe_msg_sent_event",
            "list": [{"TemplateId": "rude", "MsgID": str(number), "ErrorCode": "0"}],
        }
        wish = {"person": "zhangguilan", "deliver": False, "events": [event]}
        built = (await town.partners.partner(1).do("POST", "/push", wish))["requests"][0]
        path = "/" + built["url"].split("/", 3)[3]
        wires.append(wire("POST", path, body=built["body"].encode(), headers=built["headers"]))
    for person in people:
        headers = {"Authorization": f"Bearer {person.citizen.cast.citizen.token}", "Content-Type": "application/json"}
        draft = json.dumps({"form": {"contact_mobile": "13700000000"}}).encode()
        wires += [wire("PUT", f"/api/v1/cases/{person.case_no}", body=draft, headers=headers)] * 3
        wires += [
            wire("GET", path, headers=headers)
            for path in ("/api/v1/cases", f"/api/v1/cases/{person.case_no}", "/api/v1/me")
        ]
        wires += [wire("POST", "/api/v1/messages/read", body=b"{}", headers=headers)] * 3
    wires += [wire("GET", "/api/v1/items?q=%E8%AF%81&region=620981")] * 10
    return wires
