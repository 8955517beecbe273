"""The whole product behind the shipped nginx, with one story played until the parcel is in the courier's hands."""

import base64
import io
import itertools
import json as json_text
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from deploy.local import photos
from deploy.local.people import Cast, Phone
from deploy.local.processes import until_listening
from deploy.local.story import COURIER_LOGIN, COURIER_PASSWORD, ITEM, REGION, TOWN, Story
from sandbox.people import DEMO_PEOPLE
from tests.journeys.stack import Stack, free_block
from tests.nginx import Nginx

H5_ORIGIN = "https://h5.yumen.example.gov.cn"
IDLE_COURIER = "idle-courier"
AGENT_LOGIN, AGENT_PASSWORD = "demo-agent", "demo-agent-2026"
_SIDE_DOORS = itertools.count(1)


class GuardedStack(Stack):
    """API and worker as in production behind nginx, and a second API without nginx that believes nobody about addresses."""

    def __init__(self, folder: Path, database_url: str, *, redis_url: str | None) -> None:
        super().__init__(folder, database_url, redis_url=redis_url)
        first = free_block(16)  # the sandbox listens at nine of them, nginx at two
        self.api_port, self.sandbox_port, self.bare_port = first, first + 1, first + 13
        self.nginx = Nginx(port=first + 14, api=f"127.0.0.1:{self.api_port}")

    def base_environment(self) -> dict[str, str]:
        # The quota of one account per day is tested on its own; here one phone sends what a whole county would.
        return super().base_environment() | {
            "API_PROXIES": "1", "CASES_UPLOAD_FILES_A_DAY": "5000", "CASES_UPLOAD_MB_A_DAY": "50000",
        }  # fmt: skip

    async def start(self) -> None:
        await super().start()
        self.nginx.start()
        own = self.environment
        self.environment = own | {
            "API_PORT": str(self.bare_port), "API_PROXIES": "0", "API_CORS_ORIGINS": H5_ORIGIN,
        }  # fmt: skip
        bare = self._child("没有代理的接口", "api-without-nginx", "-m", "miniprogram_api")
        self.environment = own
        await bare.start()
        await until_listening(bare, self.bare_port)

    async def stop(self) -> None:
        self.nginx.stop()
        await super().stop()

    @property
    def api(self) -> str:
        """People reach the product through nginx."""
        return self.nginx.url

    @property
    def bare(self) -> str:
        return f"http://127.0.0.1:{self.bare_port}"

    @property
    def api_direct(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    def api_pid(self) -> int:
        return self.child("接口").process.pid


@dataclass
class Answer:
    """What came back: enough to compare two refusals and to look for what should not be there."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json_text.loads(self.body)

    @property
    def code(self) -> str:
        return self.json["code"]

    def without_its_name(self) -> tuple[int, dict[str, str], Any]:
        """Everything but the request's own id and the moment."""
        kept = {k.lower(): v for k, v in self.headers.items() if k.lower() not in ("date", "x-request-id")}
        if self.body and "problem+json" in kept.get("content-type", ""):
            return self.status, kept, {**self.json, "request_id": None}
        return self.status, kept, self.body


@dataclass
class Caller:
    """Somebody with their own network address and, perhaps, a token."""

    session: aiohttp.ClientSession
    base: str
    token: str | None = None
    refresh_token: str | None = None
    person: str = ""

    async def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: Any = None,
        headers: dict[str, str] | None = None,
        key: str | None = None,
        base: str | None = None,
    ) -> Answer:
        given = {"Idempotency-Key": key or uuid.uuid4().hex} | (headers or {})
        if self.token is not None:
            given.setdefault("Authorization", f"Bearer {self.token}")
        async with self.session.request(
            method, (base or self.base) + path, json=json, data=data, headers=given, allow_redirects=False
        ) as answer:
            return Answer(answer.status, answer.headers.copy(), await answer.read())

    async def upload(self, content: bytes, *, name: str = "photo.jpg", base: str | None = None) -> Answer:
        """One file by multipart, as `wx.uploadFile` sends it."""
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(content), filename=name, content_type="image/jpeg")
        return await self.send("POST", "/api/v1/materials", data=form, base=base)

    async def own_things(self, region: str) -> dict[str, str]:
        """A photo and a quote that are really theirs."""
        photo = await self.upload(photos.identity_card())
        quote = await self.send("GET", f"/api/v1/delivery-quotes?region_code={region}")
        return {"material_id": photo.json["material_id"], "quote_no": quote.json["quote_no"]}


@dataclass
class Stage:
    """The running product, the people, and everything the played story has left behind."""

    stack: GuardedStack
    session: aiohttp.ClientSession
    story: Story = field(init=False)
    steps: AsyncIterator[str] = field(init=False)
    objects: dict[str, str] = field(default_factory=dict)
    people: dict[str, Caller] = field(default_factory=dict)
    sessions: list[aiohttp.ClientSession] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)
    ended: bool = False
    log_start: int = 0  # where PostgreSQL's log stood when the story began

    def __post_init__(self) -> None:
        """The story is told through the same nginx as everything else."""
        self.story = Story(Cast(self.session, self.stack.api, self.stack.sandbox_port), say=lambda text: None)
        self.steps = self.story.play()

    @property
    def nginx(self) -> Nginx:
        return self.stack.nginx

    @property
    def owner(self) -> Caller:
        return self.people["owner"]

    def caller(self, token: str | None = None, *, base: str | None = None) -> Caller:
        """A new person behind an address of their own, so that limits per address never mix two tests."""
        door = next(_SIDE_DOORS)
        connector = aiohttp.TCPConnector(local_addr=(f"127.0.{1 + door // 250}.{1 + door % 250}", 0))
        session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60))
        self.sessions.append(session)
        return Caller(session, base or self.stack.api, token)

    async def citizen(self, person: str, *, verified: bool = True) -> Caller:
        """Somebody else who uses WeChat: logged in, and with a checked identity unless told otherwise."""
        wechat = self.story.cast.partner(1)
        if not any(one.key == person for one in DEMO_PEOPLE):
            await wechat.do("POST", "/persons", {"key": person, "name": person, "phone": None})
            verified = False
        phone = Phone(self.session, self.stack.api)
        code = (await wechat.do("POST", f"/persons/{person}/login_code"))["code"]
        answer = await phone.call("POST", "/api/v1/login/wechat", {"code": code})
        caller = self.caller(answer["access_token"])
        caller.refresh_token, caller.person = answer["refresh_token"], person
        self.tokens |= {answer["access_token"], answer["refresh_token"]}
        if verified:
            known = next(one for one in DEMO_PEOPLE if one.key == person)
            phone.token = caller.token
            code = (await wechat.do("POST", f"/persons/{person}/phone_code"))["code"]
            await phone.call("POST", "/api/v1/me/phone", {"code": code})
            await phone.call("POST", "/api/v1/me/identity", {"name": known.name, "id_number": known.id_number})
        return caller

    async def field_worker(self, role: str, login: str, password: str) -> Caller:
        """A courier or an agent, logged in at their own door."""
        caller = self.caller()
        answer = await caller.send("POST", f"/api/v1/{role}/login", json={"login_name": login, "password": password})
        assert answer.status == 200, answer.body
        caller.token, caller.refresh_token = answer.json["access_token"], answer.json["refresh_token"]
        self.tokens |= {caller.token, caller.refresh_token, password}
        return caller

    async def set(self) -> None:
        """Plays the story to the moment when every kind of object is alive, and brings in those who own none of them."""
        await self.play_until("pick_up")
        citizen = self.story.cast.citizen
        self.people["owner"] = owner = self.caller(citizen.token)
        owner.refresh_token, owner.person = citizen.refresh_token, self.story.person
        self.tokens |= {citizen.token, citizen.refresh_token}
        self.people["anonymous"] = self.caller()
        self.people["garbage token"] = self.caller("not-a-token")
        self.people["other citizen"] = await self.citizen("zhaolei")
        self.people["ended session"] = await self.citizen("wangxiuying", verified=False)
        await self.people["ended session"].send("POST", "/api/v1/logout")
        said = await self.stack.command("courier", "create", IDLE_COURIER, "--name", "闲等候", "--areas", "620981106")
        password = re.search(r"密码 (\S+?)（", said)[1]
        self.people["courier without the parcel"] = await self.field_worker("courier", IDLE_COURIER, password)
        self.people["courier with the parcel"] = await self.field_worker("courier", COURIER_LOGIN, COURIER_PASSWORD)
        self.people["agent"] = await self.field_worker("agent", AGENT_LOGIN, AGENT_PASSWORD)
        await self.collect()

    async def play_until(self, last: str) -> None:
        async for step in self.steps:
            if step == last:
                return

    async def finish(self) -> None:
        """The rest of the story: the right hand receives the paper and hears of it."""
        if not self.ended:
            self.ended = True
            async for _ in self.steps:
                pass

    async def collect(self) -> None:
        """What the story left behind, under the names that paths use."""
        story, owner = self.story, self.owner
        view = await story.overview()
        bill = view["bills"][0]
        messages = (await owner.send("GET", "/api/v1/messages")).json["items"]
        draft = await owner.send("POST", "/api/v1/cases", json={"item_code": ITEM, "region_code": REGION})
        quote = await owner.send("GET", f"/api/v1/delivery-quotes?region_code={TOWN}")
        upload = await self.start_upload(owner, 100_000)
        parcel = (await owner.send("GET", f"/api/v1/deliveries/{story.delivery_no}")).json
        self.codes.add(parcel["sign_code"]["code"])
        self.objects |= {
            "case_no": story.case_no,
            "draft_no": draft.json["case_no"],
            "bill_no": bill["bill_no"],
            "payment_no": bill["payments"][-1]["payment_no"],
            "receipt_no": bill["payments"][-1]["receipt_no"],
            "material_id": next(iter(story.materials.values())),
            "upload_id": upload,
            "delivery_no": story.delivery_no,
            "waybill_no": story.waybill_no,
            "message_id": messages[0]["message_no"],
            "result_id": view["case"]["result"]["files"][0]["file_id"],
            "quote_no": quote.json["quote_no"],
            "number": "1",
        }

    async def start_upload(self, caller: Caller, length: int, sha256: str = "0" * 64) -> str:
        metadata = "sha256 " + base64.b64encode(sha256.encode()).decode()
        answer = await caller.send(
            "POST", "/api/v1/uploads", headers={"Upload-Length": str(length), "Upload-Metadata": metadata}
        )
        assert answer.status == 201, answer.body
        return answer.json["upload_id"]

    async def close(self) -> None:
        """Hangs up for everybody."""
        for session in self.sessions:
            await session.close()
