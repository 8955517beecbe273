"""The base of every sandbox partner: port, clock, store, keys, faults, request log, callbacks, `/_control` verbs.

How to write a partner
----------------------
A module `sandbox/<name>.py` exposes ``def build(run: Run) -> Partner`` and subclasses `Partner`::

    class Bank(Partner):
        name, title, port_offset = "bank", "银行", 9
        default_config = {"auto_notify": True}           # shown and changed through POST /_control/config
        fault_effects = ("signature", "hold")            # effects beyond the common ones that fault() hands to you
        keep_on_reset = ("person",)                      # kinds of documents that a reset does not forget

        def setup(self) -> None:                         # called once by __init__
            self.secret = self.keys.secret("api.key", 32)
            self.route("POST", "/v1/pay/{no}", self.pay, call="pay")
            self.control("POST", "/orders/{no}/pay", self.user_pays)   # under /_control; returns JSON data
            self.callbacks.on("notice", self.send_notice, ladder=(15, 15, 30, 180))

        def seed(self) -> None: ...                      # demo data; at every start and after every reset; idempotent

        async def pay(self, request: web.Request) -> web.StreamResponse:
            body = await request.read()                  # the raw bytes; cached, safe to read again
            no = request.match_info["no"]
            self.note(request, verdict="ok", nonce="…", number=no)     # for the request log
            effect = await self.fault(request, "pay", no)              # BEFORE the commit; may delay, drop or answer
            with self.store.transaction():               # no await inside
                self.store.put("order", no, {...}, "paid")
                self.callbacks.later("notice", {"no": no}, after_s=1)
            return self.answer({"ok": True})             # effect.get("signature") … is yours to honour

        async def send_notice(self, callback: Callback) -> bool:       # False = try again on the next rung
            sent = await self.post(self.notify_url("/api/v1/callbacks/bank"), headers={}, body=b"…", timeout_s=5)
            return sent.status == 200

        def environment(self) -> dict[str, str]:         # lines for sandbox.env
            return {"BANK_BASE_URL": self.url, "BANK_KEY_FILE": str(self.keys.path("api.key"))}

        def error_answer(self, request, status, code):   # how this partner words faults, 404 and 405
            return self.answer({"code": code or "ERROR"}, status=status)

After the handler returns, the base itself applies `drop: after`, `body: garbage|truncated|html|empty` and
`content_type` of the fault, writes the `Date` header by the shifted clock and logs the request.
A `/_control` handler refuses with ``raise ControlError(404, "没有这个订单")`` (from sandbox.control) and reads its
JSON with ``await self.json(request)`` (an empty body reads as ``{}``).
Times: ``self.now()`` (aware, UTC, shifted by POST /_control/clock), ``self.now_s()``; real time only drives callbacks.
Tests: ``async with serving(build, tmp_path) as bank: bank.url`` (sandbox.serving) runs a partner on a free port.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from wsgiref.handlers import format_date_time

import aiohttp
from aiohttp import web

from sandbox.callbacks import Callbacks
from sandbox.control import ControlError, add_common_verbs, guarded
from sandbox.exchange import EXCHANGE, AnswerError, DropError, Exchange, html_page, log_entry, since, spoil
from sandbox.faults import Faults
from sandbox.keys import KeyFolder
from sandbox.store import Database, Doc

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ControlHandler = Callable[[web.Request], Awaitable[Any]]

_LOGGED_LINES = 5000
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Run:
    """One run of the sandbox: where it keeps its state and where everybody listens."""

    folder: Path
    database: Database
    host: str = "127.0.0.1"
    base_port: int = 18100
    product_url: str = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Sent:
    """What became of a request to the product: status 0 means that no answer came (`error` says why)."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    elapsed_ms: int = 0
    error: str = ""

    def view(self) -> Doc:
        """The shape answered by control verbs that send something."""
        text = self.body.decode("utf-8", "replace")
        return {"status": self.status, "body": text, "elapsed_ms": self.elapsed_ms, "error": self.error}


class Partner:
    """One outside partner. See the module's docstring for how to write one."""

    name: ClassVar[str]
    title: ClassVar[str]
    port_offset: ClassVar[int]
    default_config: ClassVar[Doc] = {}
    fault_effects: ClassVar[tuple[str, ...]] = ()
    keep_on_reset: ClassVar[tuple[str, ...]] = ()
    max_body_bytes: ClassVar[int] = 64 * _MIB

    def __init__(self, run: Run) -> None:
        self.run = run
        self.port = run.base_port + self.port_offset if run.base_port else 0
        self.store = run.database.of(self.name)
        self.keys = KeyFolder(run.folder / "keys" / self.name)
        self.faults = Faults(self.store, self.fault_effects)
        self.callbacks = Callbacks(self.store, lambda: float(self.config["time_scale"]))
        self.config: Doc = {"time_scale": 1.0, "notify_url": None, **self.default_config}
        self.config.update(self.store.get("_config", "config") or {})
        self.clock_offset_s = float((self.store.get("_config", "clock") or {}).get("offset_s", 0))
        self.calls: list[str] = []
        self.app = web.Application(client_max_size=self.max_body_bytes, middlewares=[self._middleware])
        self.app.on_response_prepare.append(self._write_date)
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None
        add_common_verbs(self)
        self.setup()

    # -- what a partner writes -------------------------------------------------------------------------------------

    def setup(self) -> None:
        """Make keys, register routes, control verbs and callbacks."""

    def seed(self) -> None:
        """Put the demo data that must always be there; called at every start and after every reset."""

    def environment(self) -> dict[str, str]:
        """The settings that the product needs to talk to this partner."""
        return {}

    def error_answer(self, request: web.Request, status: int, code: str | int | None) -> web.Response:
        """How this partner words an error ordered by a fault, an unknown path (404) or a wrong method (405)."""
        return self.answer({"code": code or "ERROR"}, status=status)

    # -- what a partner uses ---------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Base URL of this partner without a slash at the end."""
        return f"http://{self.run.host}:{self.port}"

    def now_s(self) -> float:
        """This partner's own time in unix seconds."""
        return time.time() + self.clock_offset_s

    def now(self) -> datetime:
        """This partner's own time, aware, UTC."""
        return datetime.fromtimestamp(self.now_s(), UTC)

    def scaled(self, seconds: float) -> float:
        """Expiries and minimum intervals, multiplied by `time_scale`."""
        return seconds * float(self.config["time_scale"])

    def route(self, method: str, path: str, handler: Handler, *, call: str) -> None:
        """A wire endpoint; `call` is its word in faults and in the request log."""

        async def named(request: web.Request) -> web.StreamResponse:
            request[EXCHANGE].call = call
            return await handler(request)

        if call not in self.calls:
            self.calls.append(call)
        self.app.router.add_route(method, path, named)

    def control(self, method: str, path: str, handler: ControlHandler) -> None:
        """A control verb under `/_control`; the handler returns anything that JSON can say."""
        self.app.router.add_route(method, "/_control" + path, guarded(handler))

    def answer(self, data: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
        """A compact UTF-8 JSON answer."""
        body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
        return web.Response(body=body, status=status, headers=headers, content_type="application/json", charset="utf-8")

    async def json(self, request: web.Request) -> Doc:
        """The JSON object of a control request; an empty body reads as `{}`. Raises ControlError 400."""
        raw = await request.read()
        try:
            found = json.loads(raw) if raw.strip() else {}
        except ValueError as error:
            raise ControlError(400, "请求体不是 JSON") from error
        if not isinstance(found, dict):
            raise ControlError(400, "请求体必须是 JSON 对象")
        return found

    def note(self, request: web.Request, **facts: Any) -> None:
        """Remember facts for the request log: `verdict`, `nonce`, `number` and whatever helps a reader."""
        request[EXCHANGE].facts.update(facts)

    async def fault(self, request: web.Request, call: str | None = None, number: str | None = None) -> dict[str, Any]:
        """Use up a matching fault at the point right before the commit.

        Delays and `drop: before` happen here, `status`/`code`/`rate_per_s` end the call here through `error_answer`,
        `drop: after` and `body` are applied after the handler has returned. The effect is returned for the rest.
        """
        call = call or request[EXCHANGE].call
        effect = self.faults.take(call, number)
        if not effect:
            return {}
        self.note(request, fault=effect)
        if effect.get("delay_ms"):
            await asyncio.sleep(float(effect["delay_ms"]) / 1000)
        if effect.get("drop") == "before":
            raise DropError
        if effect.get("body") == "html" and "status" in effect:
            raise AnswerError(html_page(int(effect["status"])))
        if "rate_per_s" in effect:
            raise AnswerError(self.error_answer(request, 429, effect.get("code")))
        if "status" in effect or "code" in effect:
            raise AnswerError(self.error_answer(request, int(effect.get("status", 200)), effect.get("code")))
        request[EXCHANGE].effect = effect
        return effect

    def notify_url(self, path: str) -> str:
        """Where the product listens: the `notify_url` of the config, or the product's base URL plus `path`."""
        chosen = self.config.get("notify_url")
        return str(chosen) if chosen else self.run.product_url.rstrip("/") + path

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, timeout_s: float = 5, method: str = "POST"
    ) -> Sent:
        """Send bytes exactly as given to the product; never raises for a network failure."""
        if self._http is None:
            raise RuntimeError("partner is not started")
        began = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._http.request(
                method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as got:
                content = await got.read()
                return Sent(got.status, content, dict(got.headers), since(began))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Sent(0, elapsed_ms=since(began), error=f"{type(error).__name__}: {error}".rstrip(": "))

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen and run pending callbacks. Port 0 takes a free port (tests); `self.port` then tells which."""
        self.seed()
        self._http = aiohttp.ClientSession(trust_env=False, auto_decompress=False)
        self._runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.run.host, self.port)
        try:
            await site.start()
        except OSError:
            await self.stop()
            raise
        self.port = int(self._runner.addresses[0][1])
        await self.callbacks.start()

    async def stop(self) -> None:
        """Stop listening and calling back; what is pending stays on disk."""
        await self.callbacks.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._http is not None:
            await self._http.close()

    def reset(self) -> None:
        """Forget what happened and the clock's offset; keys, config, serials and `keep_on_reset` stay."""
        config = self.store.get("_config", "config")
        self.store.reset(keep=self.keep_on_reset)
        if config is not None:
            self.store.put("_config", "config", config)
        self.clock_offset_s = 0.0
        self.seed()

    # -- machinery -------------------------------------------------------------------------------------------------

    async def _write_date(self, _: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = format_date_time(self.now_s())

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/_control" or request.path.startswith("/_control/"):
            return await handler(request)
        exchange = request[EXCHANGE] = Exchange()
        dropped = False
        response: web.StreamResponse
        try:
            response = await handler(request)
        except DropError:
            dropped, response = True, web.Response()
        except AnswerError as ended:
            response = ended.response
        except web.HTTPException as error:
            response = self.error_answer(request, error.status, None)
        except Exception as error:
            sys.stderr.write(f"沙箱 {self.name} 处理 {request.method} {request.path} 时出错：{error!r}\n")
            response = self.error_answer(request, 500, None)
            self.note(request, crashed=repr(error))
        response = spoil(response, exchange.effect)
        dropped = dropped or exchange.effect.get("drop") == "after"
        entry = await log_entry(request, response, at=self.now().isoformat(timespec="milliseconds"), dropped=dropped)
        self.store.log_request(exchange.call, entry, keep=_LOGGED_LINES)
        if dropped and request.transport is not None:
            request.transport.close()
        return response
