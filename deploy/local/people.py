"""The people of the played journey, each acting only through HTTP as a phone, a browser or a partner would."""

import asyncio
import io
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp

T = TypeVar("T")
Json = dict[str, Any]


class Unexpected(Exception):
    """Something answered differently than the story expects; the text says who, what and the answer."""


@dataclass
class Phone:
    """An HTTP client that repeats with the same idempotency key when a line breaks or the service asks to wait."""

    session: aiohttp.ClientSession
    base: str
    token: str | None = None
    patience_seconds: float = 60
    refresh_token: str | None = None

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, want: int | None = None
    ) -> Json:
        """The JSON answer. Connection errors and 503 are repeated, as a well-made phone client does."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.patience_seconds
        while True:
            try:
                async with self.session.request(method, self.base + path, json=body, headers=headers) as answer:
                    if answer.status in (429, 503, 502, 504) and loop.time() < deadline:
                        await asyncio.sleep(min(float(answer.headers.get("Retry-After", "0.3")), 1.0))
                        continue
                    content = await answer.json(content_type=None) if answer.status != 204 else {}
                    if answer.status != want if want else answer.status >= 400:
                        raise Unexpected(f"{method} {path} → {answer.status} {content}")
                    return content if isinstance(content, dict) else {"items": content}
            except (aiohttp.ClientError, TimeoutError) as error:
                if loop.time() > deadline:
                    raise Unexpected(f"{method} {path} → {type(error).__name__}") from None
                await asyncio.sleep(0.1)

    async def upload(self, picture: bytes, name: str) -> Json:
        """A photo by multipart, as `wx.uploadFile` sends it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.patience_seconds
        while True:
            form = aiohttp.FormData()
            form.add_field("file", io.BytesIO(picture), filename=name, content_type="image/jpeg")
            try:
                async with self.session.post(
                    self.base + "/api/v1/materials", data=form, headers={"Authorization": f"Bearer {self.token}"}
                ) as answer:
                    content: Json = await answer.json(content_type=None)
                    if answer.status == 201:
                        return content
                    if answer.status not in (429, 502, 503, 504) or loop.time() > deadline:
                        raise Unexpected(f"上传照片 → {answer.status} {content}")
            except (aiohttp.ClientError, TimeoutError) as error:
                if loop.time() > deadline:
                    raise Unexpected(f"上传照片 → {type(error).__name__}") from None
            await asyncio.sleep(0.2)


@dataclass
class Partner:
    """The control surface of one sandbox partner."""

    session: aiohttp.ClientSession
    base: str

    async def do(self, method: str, path: str, body: Any = None) -> Json:
        """One act; raises Unexpected on a refusal."""
        async with self.session.request(method, f"{self.base}/_control{path}", json=body) as answer:
            content = await answer.json(content_type=None)
            if answer.status >= 400:
                raise Unexpected(f"沙箱 {method} {path} → {answer.status} {content}")
            return content if isinstance(content, dict) else {"items": content}


@dataclass
class Cast:
    """Everybody who takes part, and where they are found."""

    session: aiohttp.ClientSession
    api: str
    sandbox_port: int
    citizen: Phone = field(init=False)
    courier: Phone = field(init=False)

    def __post_init__(self) -> None:
        """Phones without a login yet."""
        self.citizen = Phone(self.session, self.api)
        self.courier = Phone(self.session, self.api)

    def partner(self, offset: int) -> Partner:
        """1 wechat, 2 register, 3 wechat_pay, 4 one_window, 5 ems, 6 alipay."""
        return Partner(self.session, f"http://127.0.0.1:{self.sandbox_port + offset}")


async def until(what: str, ask: Callable[[], Awaitable[T | None]], *, seconds: float = 60) -> T:
    """Asks again until there is an answer; raises Unexpected with `what` when it takes too long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        found = await ask()
        if found is not None:
            return found
        if loop.time() > deadline:
            raise Unexpected(f"等了 {seconds:.0f} 秒仍没有：{what}")
        await asyncio.sleep(0.15)
