"""The `/_control` verbs that every partner has, and the guard that keeps web pages of other sites away from them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.faults import FaultError
from sandbox.store import Doc

if TYPE_CHECKING:
    from sandbox.partner import Partner

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


class ControlError(Exception):
    """A refused control request: HTTP status and a Chinese sentence for the person at the page."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def guarded(handler: Callable[[web.Request], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Wrap a control handler: no DNS rebinding, no cross-site posts; data and errors become JSON."""

    async def wrapped(request: web.Request) -> web.StreamResponse:
        try:
            refuse_strangers(request)
            found = await handler(request)
        except ControlError as error:
            return json_answer({"error": error.text}, status=error.status)
        return found if isinstance(found, web.StreamResponse) else json_answer(found)

    return wrapped


def refuse_strangers(request: web.Request) -> None:
    """A foreign web page in the operator's browser must not steer the sandbox. Raises ControlError 403."""
    if request.host.rsplit(":", 1)[0] not in LOOPBACK_NAMES and request.host not in LOOPBACK_NAMES:
        raise ControlError(403, "沙箱控制面只接受本机地址")
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{request.host}":
        raise ControlError(403, "沙箱控制面不接受其他网站发来的请求")


def json_answer(data: Any, *, status: int = 200) -> web.Response:
    """A readable JSON answer of the control surface."""
    text = json.dumps(data, ensure_ascii=False, indent=1, default=str)
    return web.Response(text=text, status=status, content_type="application/json")


def add_common_verbs(partner: "Partner") -> None:
    """Register the verbs that are the same on every partner."""
    verbs = _CommonVerbs(partner)
    partner.control("GET", "", verbs.identity)
    partner.control("POST", "/reset", verbs.reset)
    partner.control("GET", "/config", verbs.show_config)
    partner.control("POST", "/config", verbs.change_config)
    partner.control("POST", "/clock", verbs.shift_clock)
    partner.control("GET", "/requests", verbs.requests)
    partner.control("GET", "/callbacks", verbs.callbacks)
    partner.control("POST", "/settle", verbs.settle)
    partner.control("GET", "/faults", verbs.list_faults)
    partner.control("POST", "/faults", verbs.order_fault)
    partner.control("DELETE", "/faults", verbs.delete_faults)
    partner.control("DELETE", "/faults/{id}", verbs.delete_faults)


class _CommonVerbs:
    def __init__(self, partner: "Partner") -> None:
        self.partner = partner

    async def identity(self, _: web.Request) -> Doc:
        partner = self.partner
        routes = {
            f"{route.method} {route.resource.canonical}"
            for route in partner.app.router.routes()
            if route.resource is not None and route.method != "HEAD"
        }
        return {
            "name": partner.name,
            "title": partner.title,
            "url": partner.url,
            "key_folder": str(partner.keys.folder.resolve()),
            "clock_offset_s": partner.clock_offset_s,
            "now": partner.now().isoformat(timespec="milliseconds"),
            "config": partner.config,
            "counters": {
                **partner.store.count(),
                "requests": partner.store.count_requests(),
                "faults": len(partner.faults.all()),
                "pending_callbacks": partner.store.count_pending_callbacks(),
            },
            "calls": partner.calls,
            "verbs": sorted(routes),
        }

    async def reset(self, _: web.Request) -> Doc:
        self.partner.reset()
        return {"ok": True}

    async def show_config(self, _: web.Request) -> Doc:
        return self.partner.config

    async def change_config(self, request: web.Request) -> Doc:
        partner = self.partner
        wish = await partner.json(request)
        unknown = [name for name in wish if name not in partner.config]
        if unknown:
            raise ControlError(400, f"没有这个配置项：{'、'.join(unknown)}")
        scale = wish.get("time_scale", 1)
        if not isinstance(scale, int | float) or isinstance(scale, bool) or scale < 0:
            raise ControlError(400, "time_scale 必须是不小于 0 的数")
        partner.config.update(wish)
        partner.store.put("_config", "config", partner.config)
        return partner.config

    async def shift_clock(self, request: web.Request) -> Doc:
        offset = (await self.partner.json(request)).get("offset_s")
        if not isinstance(offset, int | float) or isinstance(offset, bool):
            raise ControlError(400, "offset_s 必须是数（秒）")
        self.partner.clock_offset_s = float(offset)
        self.partner.store.put("_config", "clock", {"offset_s": offset})
        return {"offset_s": offset, "now": self.partner.now().isoformat(timespec="milliseconds")}

    async def requests(self, request: web.Request) -> Doc:
        query = request.query
        try:
            after, limit = int(query.get("after", "0")), int(query.get("limit", "100"))
            last = int(query.get("last", "0"))
        except ValueError as error:
            raise ControlError(400, "after、limit 与 last 必须是整数") from error
        if last > 0:
            return {"requests": self.partner.store.last_requests(min(last, 1000))}
        lines = self.partner.store.requests(call=query.get("call"), after=after, limit=max(1, min(limit, 1000)))
        return {"requests": lines, "next_after": lines[-1]["id"] if lines else after}

    async def callbacks(self, _: web.Request) -> Doc:
        return {"callbacks": self.partner.store.callbacks()}

    async def settle(self, _: web.Request) -> Doc:
        await asyncio.wait_for(self.partner.callbacks.settle(), 30)
        return {"ok": True, "pending_callbacks": self.partner.store.count_pending_callbacks()}

    async def list_faults(self, _: web.Request) -> Doc:
        return {"faults": self.partner.faults.all()}

    async def order_fault(self, request: web.Request) -> Doc:
        try:
            return self.partner.faults.order(await self.partner.json(request))
        except FaultError as error:
            raise ControlError(400, str(error)) from error

    async def delete_faults(self, request: web.Request) -> Doc:
        return {"deleted": self.partner.faults.delete(request.match_info.get("id"))}
