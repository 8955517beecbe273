"""The wire of a world: the product's outgoing bytes into the sandboxes' applications and their notices into the product.

No socket, no real second: a request is built from exactly the bytes the product made, the sandbox's own application answers
it, and the network in between loses, delays, repeats and overtakes as the seed says.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any

import aiohttp
import yarl
from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

import payments
from kernel import http
from sandbox.callbacks import Callback
from sandbox.partner import Partner, Sent
from tests.chaos.chance import WorldClock
from tests.chaos.lives import Lives

OUR_DOORS = {"wechat-pay": "wechat", "alipay": "alipay", "unified-pay": "unified"}


class _Peer:
    """Stands where aiohttp keeps the connection; remembers whether the partner hung up."""

    ssl_context = peername = sockname = None
    _reading_paused = False

    def __init__(self) -> None:
        self.closed = False
        self.transport = self

    def close(self) -> None:
        self.closed = True

    def resume_reading(self, **_: object) -> None:
        """The whole body is here already."""

    pause_reading = resume_reading

    def get_extra_info(self, _: str, default: object = None) -> object:
        return default


async def ask(
    partner: Partner, method: str, url: yarl.URL, headers: Mapping[str, str], body: bytes
) -> tuple[web.Response, bool]:
    """The partner's answer, and whether it hung up instead of giving it."""
    if not partner.app.frozen:
        partner.app.pre_freeze()
        partner.app.freeze()
    peer, head = _Peer(), CIMultiDict(headers)
    head["Host"] = f"127.0.0.1:{partner.port}"
    head["Content-Length"] = str(len(body))
    raw = tuple((name.encode(), value.encode()) for name, value in head.items())
    target = url.raw_path_qs
    message = RawRequestMessage(
        method, target, HttpVersion11, CIMultiDictProxy(head), raw, False, None, False, False,
        yarl.URL(target, encoded=True),
    )  # fmt: skip
    loop = asyncio.get_running_loop()
    content = StreamReader(peer, 1 << 26, loop=loop)
    content.feed_data(body)
    content.feed_eof()
    request = web.Request(message, content, peer, None, None, loop, client_max_size=1 << 26)
    response = await partner.app._handle(request)
    assert isinstance(response, web.Response)
    await partner._write_date(request, response)
    return response, peer.closed


class Network:
    """Everything between our process and its partners in one world."""

    def __init__(self, partners: Mapping[str, Partner], world_clock: WorldClock, lives: Lives, draws: Random) -> None:
        self.partners, self.clock, self.lives, self.draws = partners, world_clock, lives, draws
        self.by_port = {partner.port: partner for partner in partners.values()}
        self.hits: Counter[str] = Counter()
        self.rough = 0.0  # how often the network itself misbehaves
        self.meanwhile: Callable[[], Awaitable[None]] | None = None  # what others do while a call is under way
        for partner in partners.values():
            partner.post = self.deliver  # type: ignore[method-assign]
            self._count(partner)

    def _count(self, partner: Partner) -> None:
        taken = partner.faults.take

        def take(call: str, number: str | None) -> dict[str, Any]:
            effect = taken(call, number)
            if effect:
                short = call.rsplit(".", 2)
                words = ",".join(f"{name}={effect[name]}" for name in sorted(effect))
                self.hits[f"{partner.name} {'.'.join(short[-2:])}: {words}"] += 1
            return effect

        partner.faults.take = take  # type: ignore[method-assign]

    def happens(self, what: str, share: float = 1.0) -> bool:
        """Whether the network does this to the present message."""
        happens = self.draws.random() < self.rough * share
        if happens:
            self.hits[f"network: {what}"] += 1
        return happens

    # -- our calls

    async def perform(self, exchange: Any) -> http.Answer:
        """Stands for the socket of `kernel.http`: the same bytes, the same errors."""
        await self.lives.step("sent", exchange.url.path)
        if self.happens("connection refused", 0.5):
            raise aiohttp.ClientConnectionError
        exchange.sent = True
        headers = {**(exchange.headers or {}), "User-Agent": "zhangshangban", "Accept-Encoding": "identity"}
        partner = self.by_port[exchange.url.port]
        response, hung_up = await ask(partner, exchange.method, exchange.url, headers, exchange.body or b"")
        if self.happens("answer too late", 0.5):
            self.clock.advance(self.draws.uniform(3, 8))
            hung_up = True
        if self.meanwhile is not None and self.draws.random() < self.rough:
            self.hits["network: something happened before the answer"] += 1
            meanwhile, self.meanwhile = self.meanwhile, None  # one thing at a time
            try:
                await meanwhile()
            finally:
                self.meanwhile = meanwhile
        await self.lives.step("answered", exchange.url.path)
        if hung_up:
            raise aiohttp.ServerDisconnectedError
        body = response.body if isinstance(response.body, bytes) else b""
        if exchange.into is not None and response.status == 200:
            with exchange.into.open("xb") as file:
                file.write(body)
            body = b""
        return http.Answer(response.status, CIMultiDict(response.headers), body)

    # -- their calls

    async def deliver(
        self, url: str, *, headers: Mapping[str, str], body: bytes, timeout_s: float = 5, method: str = "POST"
    ) -> Sent:
        """A partner's notice on its way to us; what the partner sees of our answer."""
        if self.happens("notice lost"):
            return Sent(0, error="lost on the way")
        times = 2 if self.happens("notice doubled") else 1
        for _ in range(times):
            answer = await self._take(OUR_DOORS[url.rsplit("/", 1)[1]], headers, body)
        if self.happens("acknowledgement lost"):
            return Sent(0, error="lost on the way back")
        return Sent(answer.status, answer.body, dict(answer.headers))

    async def _take(self, channel: str, headers: Mapping[str, str], body: bytes) -> payments.Ack:
        await self.lives.step("sent", "notice")
        kept = CIMultiDict(headers)
        if channel == "unified":
            return await payments.receive_packet(channel=channel, headers=kept, raw=body)
        return await payments.receive_notice(channel=channel, headers=kept, raw=body)

    async def pump(self, *, late: float = 0.0) -> int:
        """Callbacks of all partners that are due, in an order of the seed's; with `late` some stay for another time."""
        due = [
            (partner, Callback(**found))
            for partner in self.partners.values()
            for found in partner.store.due_callbacks(self.clock.unix())
        ]
        self.draws.shuffle(due)
        done = 0
        for partner, callback in due:
            if late and self.draws.random() < late:
                self.hits["network: notice overtaken by later ones"] += 1
                continue
            await partner.callbacks._try(callback)
            done += 1
        return done

    # -- the world's hands on the partners

    async def control(self, name: str, method: str, path: str, wish: Mapping[str, Any] | None = None) -> Any:
        """A control verb; None when the partner refuses it (nothing to pay, already closed …)."""
        partner = self.partners[name]
        raw = json.dumps(wish).encode() if wish is not None else b""
        url = yarl.URL(f"http://127.0.0.1:{partner.port}/_control{path}")
        response, _ = await ask(partner, method, url, {"Content-Type": "application/json"}, raw)
        if response.status in (404, 409):
            return None
        found = json.loads(response.body if isinstance(response.body, bytes) else b"")
        if response.status != 200:
            raise RuntimeError(f"{name} {method} {path}: {found}")
        return found
