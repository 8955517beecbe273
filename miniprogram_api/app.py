"""Builds the Sanic application from the table of endpoints; nothing happens at import time."""

import importlib
from collections.abc import Awaitable, Callable
from typing import Any

from sanic import HTTPResponse, Request, Sanic

from miniprogram_api import problems
from miniprogram_api.answers import encode
from miniprogram_api.cycle import Cycle, request_id
from miniprogram_api.endpoints import ENDPOINTS, Endpoint
from miniprogram_api.settings import HttpSettings

_MODULES = (
    "login",
    "me",
    "items",
    "cases",
    "materials",
    "uploads",
    "bills",
    "papers",
    "deliveries",
    "courier",
    "agent",
    "messages",
    "callbacks",
    "operations",
)
_OVERRIDE = "x-http-method-override"


def load_endpoints() -> list[Endpoint]:
    """Imports every module that declares routes and answers the whole table."""
    for name in _MODULES:
        importlib.import_module(f"miniprogram_api.{name}")
    # In the order of the list above, whoever imported a module first: the checked-in description must not depend on that.
    ENDPOINTS.sort(key=lambda row: _MODULES.index(row.handler.__module__.rpartition(".")[2]))
    return ENDPOINTS


def create_app(
    settings: HttpSettings,
    *,
    name: str = "zhangshangban",
    start: Callable[[], Awaitable[None]],
    stop: Callable[[], Awaitable[None]],
) -> Sanic[Any, Any]:
    """An application for one process. `start` opens database and partners before the first request, `stop` closes them."""
    app: Sanic[Any, Any] = Sanic(name, dumps=encode, configure_logging=False)
    app.config.update(
        AUTO_EXTEND=False, ACCESS_LOG=False, MOTD=False, FALLBACK_ERROR_FORMAT="json", KEEP_ALIVE_TIMEOUT=75,
        REQUEST_MAX_SIZE=1024 * 1024, REQUEST_TIMEOUT=10, RESPONSE_TIMEOUT=int(settings.deadline_seconds) + 8,
        GRACEFUL_SHUTDOWN_TIMEOUT=20.0, REAL_IP_HEADER="x-real-ip" if settings.proxies else None,
        PROXIES_COUNT=settings.proxies or None,
    )  # fmt: skip
    cycle = Cycle(settings)
    app.ctx.cycle = cycle
    rows = load_endpoints()
    _add_routes(app, cycle, rows)

    @app.before_server_start
    async def open_up(_: Any) -> None:
        await start()

    @app.before_server_stop
    async def drain(_: Any) -> None:
        await cycle.drain(settings.deadline_seconds)

    @app.after_server_stop
    async def close(_: Any) -> None:
        await stop()

    @app.exception(Exception)
    async def refuse(request: Request, error: Exception) -> HTTPResponse:
        return problems.render(problems.from_exception(error), request_id(request), problems.headers_of(error))

    _cors(app, settings)
    return app


def _add_routes(app: Any, cycle: Cycle, rows: list[Endpoint]) -> None:
    posts = {row.route for row in rows if row.method == "POST"}
    for row in rows:
        pattern = row.route.replace("{", "<").replace("}", ":str>")
        handler = cycle.serve(row)
        app.add_route(handler, pattern, methods=[row.method], stream=row.streamed, name=handler.__name__)
        if row.method == "PATCH" and row.route not in posts:
            # wx.request knows no PATCH: the same command also comes as POST with an override header.
            app.add_route(
                _overridden(handler), pattern, methods=["POST"], stream=row.streamed, name=handler.__name__ + "_by_post"
            )


def _overridden(handler: Any) -> Any:
    async def by_post(request: Request, **path: str) -> Any:
        if request.headers.get(_OVERRIDE, "").upper() != "PATCH":
            return problems.render(problems.WrongMethod(), request_id(request), {"Allow": "GET, HEAD, PATCH"})
        return await handler(request, **path)

    return by_post


def _cors(app: Any, settings: HttpSettings) -> None:
    """Only exactly listed origins; bearer tokens in a header, no cookies, so nothing else is needed against CSRF."""
    if not settings.cors_origins:
        return
    allowed = frozenset(settings.cors_origins)
    verbs = "GET, HEAD, POST, PUT, PATCH, DELETE"
    names = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Upload-Offset, Upload-Length, Upload-Metadata, Tus-Resumable, X-HTTP-Method-Override, X-Request-Id"

    async def allow(request: Request, response: HTTPResponse) -> None:
        origin = request.headers.get("origin")
        if origin in allowed and response is not None:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Vary"] = "Origin"

    async def preflight(request: Request) -> HTTPResponse | None:
        if request.method != "OPTIONS" or request.headers.get("origin") not in allowed:
            return None
        return HTTPResponse(
            status=204,
            headers={
                "Access-Control-Allow-Methods": verbs,
                "Access-Control-Allow-Headers": names,
                "Access-Control-Max-Age": "600",
            },
        )

    app.register_middleware(allow, "response")
    app.register_middleware(preflight, "request")
