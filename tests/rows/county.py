"""A county to try things in: citizens who have proved who they are, and a product whose processes can be stopped and started."""

import io
import json
import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import aiohttp
import asyncpg
from PIL import Image

from deploy.local import photos
from deploy.local.people import Cast, Json, Phone, until
from deploy.local.processes import until_listening
from deploy.local.story import ITEM, REGION, TOWN, Story
from sandbox.people import with_check
from tests.journeys.stack import Stack

API, WORKER = "接口", "后台任务"
FORM = {"for_whom": "本人", "reason": "遗失", "contact_mobile": "13900000001", "old_card_void": True}
_FAMILY, _GIVEN = "田石高罗梁宋唐韩曹许邓萧", ("秀兰", "玉芬", "凤英", "桂珍", "淑琴", "春花", "金凤")


@cache
def photo() -> bytes:
    """A small real photo: what checking a large one costs is tested elsewhere."""
    with Image.open(io.BytesIO(photos.portrait(sharp=True))) as image:
        image.thumbnail((640, 640))
        out = io.BytesIO()
        image.save(out, "JPEG", quality=85)
    return out.getvalue()


@dataclass
class Refusal:
    """What the API answered to somebody who may not."""

    status: int
    body: Json

    @property
    def code(self) -> str:
        return str(self.body["code"])


@dataclass
class Citizen(Story):
    """A citizen who can do single steps of the story, and be refused."""

    @property
    def phone(self) -> Phone:
        return self.cast.citizen

    async def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Json:
        return await self.phone.call(method, f"/api/v1{path}", body, key=key)

    async def refused(self, method: str, path: str, body: Any = None) -> Refusal:
        """The refusal of a call that must not succeed."""
        headers = {"Idempotency-Key": f"{self.person}-{id(body)}-{path}"[:200]}
        if self.phone.token:
            headers["Authorization"] = f"Bearer {self.phone.token}"
        url = f"{self.phone.base}/api/v1{path}"
        async with self.phone.session.request(method, url, json=body, headers=headers) as answer:
            content = await answer.json(content_type=None)
            assert answer.status >= 400, f"{method} {path} was allowed: {content}"
            assert answer.content_type == "application/problem+json"
            return Refusal(answer.status, content)

    async def material(self) -> str:
        return str((await self.phone.upload(photo(), "photo.jpg"))["material_id"])

    async def open(self, item: str = ITEM) -> str:
        opened = await self.call("POST", "/cases", {"item_code": item, "region_code": REGION})
        self.case_no = opened["case_no"]
        return self.case_no

    async def submission(self, *, quote_no: str | None = None, region_code: str = TOWN, pickup: bool = False) -> Json:
        """A complete application for the demo item; by mail unless she fetches it."""
        codes = ("PHOTO", "IDCARD")
        body: Json = {
            "form": FORM, "materials": [{"code": code, "material_ids": [await self.material()]} for code in codes],
        }  # fmt: skip
        if pickup:
            return body | {"delivery": {"way": "pickup"}}
        who = {"name": self.name, "phone": "13900000001", "region_code": region_code, "address": "幸福路 8 号 101 室"}
        return body | {"delivery": {"way": "mail", "quote_no": quote_no, "recipient": who}}

    async def applied(self) -> str:
        """Opened and submitted, to be fetched at the window."""
        await self.open()
        await self.call("POST", f"/cases/{self.case_no}/submission", await self.submission(pickup=True))
        return self.case_no

    async def messages(self) -> list[Json]:
        return list((await self.call("GET", "/messages?limit=50"))["items"])

    async def paid_case(self) -> str:
        await self.applied()
        await self.pay()
        await self.reach_window()
        return self.case_no


@dataclass
class County:
    """The running product and its people."""

    stack: Stack
    session: aiohttp.ClientSession
    known: list[Citizen] = field(default_factory=list)

    @property
    def partners(self) -> Cast:
        return Cast(self.session, self.stack.api, self.stack.sandbox_port)

    async def citizen(self, *, proven: bool = True) -> Citizen:
        """Somebody new, known to WeChat and to the population register, logged in."""
        number, cast = len(self.known) + 1, Cast(self.session, self.stack.api, self.stack.sandbox_port)
        name = _FAMILY[number % len(_FAMILY)] + _GIVEN[number % len(_GIVEN)]
        citizen = Citizen(
            cast, lambda text: None, person=f"rows{number}", name=name,
            id_number=with_check(f"570981{1940 + number}0112{number:03d}"),
        )  # fmt: skip
        self.known.append(citizen)
        await cast.partner(1).do("POST", "/persons", {"key": citizen.person, "name": name, "phone": f"137{number:08d}"})
        await cast.partner(2).do("POST", "/persons", {"id_number": citizen.id_number, "name": name, "state": "alive"})
        await citizen.log_in()
        if proven:
            await citizen.prove_identity()
        return citizen

    def stranger(self) -> Citizen:
        """Somebody without a login."""
        cast = Cast(self.session, self.stack.api, self.stack.sandbox_port)
        return Citizen(cast, lambda text: None, person="stranger")

    async def promises(self) -> list[tuple[str, str, str | None, Json]]:
        """What stands in the outbox: topic, key, lane, payload; read beside the running product."""
        sql, url = "SELECT topic, key, lane, payload FROM kernel_outbox ORDER BY id", self.stack.database_url
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(f"file:{url.removeprefix('sqlite://')}?mode=ro", uri=True)) as database:
                found = database.execute(sql).fetchall()
        else:
            connection = await asyncpg.connect(url.replace("asyncpg://", "postgres://"))
            found = [tuple(row) for row in await connection.fetch(sql)]
            await connection.close()
        return [(topic, key, lane, json.loads(payload)) for topic, key, lane, payload in found]

    async def kill(self, title: str) -> None:
        """SIGKILL, as the machine would."""
        child = self.stack.child(title)
        child.kill()
        await child.wait()

    async def start(self, title: str, **settings: str) -> None:
        """Starts a stopped process again, with other settings if any are given."""
        child = self.stack.child(title)
        child.environment = {**self.stack.environment, **settings}
        await child.start()
        if title == API:
            await until_listening(child, self.stack.api_port)

    @asynccontextmanager
    async def configured(self, **settings: str):
        """The API and the worker with other settings for a while."""
        for title in (API, WORKER):
            await self.stack.child(title).stop()
            await self.start(title, **settings)
        try:
            yield
        finally:
            for title in (API, WORKER):
                await self.stack.child(title).stop()
                await self.start(title)


__all__ = ["API", "ITEM", "REGION", "TOWN", "WORKER", "Citizen", "County", "Refusal", "Story", "until"]
