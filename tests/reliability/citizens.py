"""Many citizens who live the journey of `deploy.local.story` at once, each with an identity of her own, none giving up when a line breaks."""

import asyncio
import functools
import io
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from PIL import Image

from deploy.local import photos, story
from deploy.local.people import Cast, Json, Phone, Unexpected, until
from deploy.local.story import Story
from sandbox.people import with_check

_FAMILY, _GIVEN = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨", "安邦昌德恩方广和吉康乐明宁平庆仁"


class SmallPhotos:
    """The photos of the story, made once and small: checking twelve megapixels is tested elsewhere and takes both cores a second."""

    @staticmethod
    @functools.cache
    def portrait(*, sharp: bool) -> bytes:
        return _shrunk(photos.portrait(sharp=sharp))

    @staticmethod
    @functools.cache
    def identity_card() -> bytes:
        return _shrunk(photos.identity_card())


def _shrunk(picture: bytes) -> bytes:
    with Image.open(io.BytesIO(picture)) as image:
        exif = image.getexif()
        image.thumbnail((480, 480))
        out = io.BytesIO()
        image.save(out, "JPEG", quality=85, exif=exif)
    return out.getvalue()


async def patiently(what: str, ask: Callable[[], Awaitable[Any]], *, seconds: float = 0) -> Any:
    """`until` with the patience of a storm: a crash leaves its rows to their lease, and the next crash comes before all are taken over."""
    return await until(what, ask, seconds=max(seconds, 120))


class TwitchyPhone(Phone):
    """Now and then sends a finished command once more under its key, as a phone does that missed the answer: nothing may happen twice."""

    dice = random.Random(1)

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, want: int | None = None
    ) -> Json:
        answer = await super().call(method, path, body, key=key, want=want)
        if key is not None and self.dice.random() < 0.4:
            again = await super().call(method, path, body, key=key, want=want)
            named = [name for name in ("case_no", "payment_no", "delivery_no", "receipt_no") if name in answer]
            if any(again[name] != answer[name] for name in named):
                raise Unexpected(f"{method} {path}：同一个请求编号得到两个结果 {answer} {again}")
        return answer


@dataclass
class Queues:
    """What all stories of a town share: one clock at the sandbox of WeChat, whose taps are told apart by their second, and one courier."""

    dialog: asyncio.Lock = field(default_factory=asyncio.Lock)
    courier: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class Citizen(Story):
    """One story under bad weather. `trail` says when each step ended, to tell what was under way when something broke."""

    patience_seconds: float = 120
    queues: Queues = field(default_factory=Queues)
    trail: list[tuple[str, float]] = field(default_factory=list)
    _tapped: float = 0.0

    async def play(self) -> AsyncIterator[str]:
        self.cast.citizen.patience_seconds = self.cast.courier.patience_seconds = self.patience_seconds
        self.trail.append(("begin", time.monotonic()))
        async for step in super().play():
            self.trail.append((step, time.monotonic()))
            yield step

    async def live(self) -> None:
        """The whole story; says who was where when it fails."""
        try:
            async for _ in self.play():
                pass
        except Unexpected as error:
            done = self.trail[-1][0]
            raise Unexpected(f"{self.person}（办件 {self.case_no or '无'}）在 {done} 之后：{error}") from None

    async def log_in(self) -> None:
        """A WeChat code works once: after a broken line the phone fetches another."""
        await self._again(super().log_in)

    async def prove_identity(self) -> None:
        await self._again(super().prove_identity)

    async def subscribe(self) -> None:
        async with self.queues.dialog:
            await super().subscribe()

    async def log_courier_in(self) -> None:
        """All stories share one courier, who types his password once at a time: five tries under way look like guessing."""
        async with self.queues.courier:
            await super().log_courier_in()

    async def _ready_to_pay(self, payment_no: str) -> Json | None:
        """When no cashier opens she taps "pay" again after a while: the same order, a fresh cashier."""
        ready = await super()._ready_to_pay(payment_no)
        if ready is None and time.monotonic() - self._tapped > 3:
            self._tapped = time.monotonic()
            bill_no = (await self._citizen.call("GET", f"/api/v1/payments/{payment_no}"))["bill_no"]
            path = f"/api/v1/bills/{bill_no}/payments"
            await self._citizen.call("POST", path, {"channel": "wechat_jsapi"}, key=self.key(bill_no))
        return ready

    async def hear_everything(self) -> None:
        """The inbox has every message; WeChat may have lost one whose sender died during the call, because nothing is sent twice."""
        await until("送达回执到达窗口", self._window_knows, seconds=self.patience_seconds)
        await until("签收消息进入收件箱", self._signed_message, seconds=self.patience_seconds)

    async def inbox(self) -> list[Json]:
        found: list[Json] = []
        cursor = ""
        while True:
            page = await self.cast.citizen.call("GET", f"/api/v1/messages?limit=50{cursor}")
            found += page["items"]
            if not page["next_cursor"]:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    async def _signed_message(self) -> bool | None:
        return True if any("已签收" in str(message) for message in await self.inbox()) else None

    async def _again(self, step: Callable[[], Awaitable[None]]) -> None:
        deadline = time.monotonic() + self.patience_seconds
        while True:
            try:
                return await step()
            except Unexpected:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.3)


class Town:
    """Everybody who lives on one stack: makes citizens known to WeChat and to the population register."""

    def __init__(self, session: aiohttp.ClientSession, api: str, sandbox_port: int) -> None:
        self.session, self.api, self.sandbox_port = session, api, sandbox_port
        self.citizens: list[Citizen] = []
        self.queues = Queues()
        story.photos, story.until = SmallPhotos, patiently

    async def newcomer(self, patience_seconds: float = 120) -> Citizen:
        number = len(self.citizens) + 1
        cast = Cast(self.session, self.api, self.sandbox_port)
        cast.citizen, cast.courier = TwitchyPhone(self.session, self.api), TwitchyPhone(self.session, self.api)
        name = _FAMILY[number % 16] + _GIVEN[number // 16 % 16] + _GIVEN[number % 13]
        born = f"57098119{50 + number % 10}{1 + number % 12:02d}{1 + number % 28:02d}{number % 1000:03d}"
        citizen = Citizen(
            cast, lambda text: None, person=f"citizen{number}", name=name, id_number=with_check(born),
            patience_seconds=patience_seconds, queues=self.queues,
        )  # fmt: skip
        self.citizens.append(citizen)
        await cast.partner(1).do(
            "POST", "/persons", {"key": citizen.person, "name": f"{name}{number}", "phone": f"138{number:08d}"}
        )
        await cast.partner(2).do("POST", "/persons", {"id_number": citizen.id_number, "name": name, "state": "alive"})
        return citizen

    @property
    def partners(self) -> Cast:
        return Cast(self.session, self.api, self.sandbox_port)
