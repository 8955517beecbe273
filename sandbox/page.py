"""The control server: the page on which a person plays the partners, with same-origin routes to their verbs."""

from collections.abc import Sequence
from pathlib import Path

import aiohttp
from aiohttp import web

from sandbox.control import ControlError, guarded, json_answer
from sandbox.partner import Partner, Run
from sandbox.store import Doc

_STATIC = Path(__file__).with_name("static")
_FILES = {
    "": "index.html",
    "page.css": "page.css",
    "page.js": "page.js",
    "panels.js": "panels.js",
    "alipay.js": "alipay.js",
}
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:"


class ControlServer:
    """Serves the page on the base port. It holds no state of its own: every fact is asked from the partners."""

    def __init__(self, run: Run, partners: Sequence[Partner]) -> None:
        self.run = run
        self.port = run.base_port
        self.partners = {partner.name: partner for partner in partners}
        self.app = web.Application()
        for path in _FILES:
            self.app.router.add_get("/" + path, self.file)
        self.app.router.add_get("/api/partners", guarded(self.list_partners))
        for suffix in ("", "/{verb:.+}"):
            self.app.router.add_route("*", "/api/{partner}" + suffix, guarded(self.forward))
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{self.run.host}:{self.port}"

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        self._http = aiohttp.ClientSession(trust_env=False)
        self._runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.run.host, self.port).start()
        except OSError:
            await self.stop()
            raise
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._http is not None:
            await self._http.close()

    async def file(self, request: web.Request) -> web.Response:
        """One of the page's own files; nothing is loaded from elsewhere."""
        path = _STATIC / _FILES[request.path.removeprefix("/")]
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8", headers=headers)

    async def list_partners(self, _: web.Request) -> list[Doc]:
        """Which partners are being served."""
        return [{"name": p.name, "title": p.title, "url": p.url} for p in self.partners.values()]

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """`/api/{partner}/{verb}` → `{partner}/_control/{verb}`, unchanged in both directions."""
        partner = self.partners.get(request.match_info["partner"])
        if partner is None or self._http is None:
            raise ControlError(404, "沙箱没有这个合作方")
        verb = request.match_info.get("verb", "")
        target = f"{partner.url}/_control{'/' + verb if verb else ''}"
        try:
            async with self._http.request(
                request.method, target, params=request.query, data=await request.read(), allow_redirects=False
            ) as got:
                return web.Response(body=await got.read(), status=got.status, content_type=got.content_type)
        except (aiohttp.ClientError, TimeoutError) as error:
            return json_answer({"error": f"合作方没有回答：{error}"}, status=502)
