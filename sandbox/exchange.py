"""One request and its answer on the way through a partner: what is remembered, how faults spoil it, its log line."""

import base64
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from sandbox.store import Doc

_LOGGED_BYTES = 64 * 1024  # longer bodies (uploads) are logged cut, with their full length and SHA-256


@dataclass
class Exchange:
    """What the base and the partner learn about a request on its way."""

    call: str = "unknown"
    effect: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)


EXCHANGE = web.RequestKey("exchange", Exchange)


class DropError(Exception):
    """The connection is to be closed without an answer (fault `drop: before`)."""


class AnswerError(Exception):
    """The fault answers by itself; nothing was committed."""

    def __init__(self, response: web.Response) -> None:
        super().__init__(response.status)
        self.response = response


def since(began: float) -> int:
    """Milliseconds since a monotonic instant."""
    return round((time.monotonic() - began) * 1000)


def html_page(status: int) -> web.Response:
    """What a broken proxy in front of a partner sends."""
    text = (
        f"<html><head><title>{status}</title></head><body><center><h1>{status} Bad Gateway</h1></center></body></html>"
    )
    return web.Response(text=text, status=status, content_type="text/html")


def spoil(response: web.StreamResponse, effect: Mapping[str, Any]) -> web.StreamResponse:
    """Apply the part of a fault that damages a finished answer; its headers (and signature) stay as they were."""
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return response
    body, kind = response.body, effect.get("body")
    if kind == "html":
        return html_page(502)
    if kind == "garbage":
        response.body = b"\x00\xff\xfe{not json"
    elif kind == "truncated":
        response.body = body[: len(body) // 2]
    elif kind == "empty":
        response.body = b""
    if effect.get("content_type"):
        response.headers["Content-Type"] = str(effect["content_type"])
    return response


async def log_entry(request: web.Request, response: web.StreamResponse, *, at: str, dropped: bool) -> Doc:
    """One line of the request log: everything that a test or a person needs to judge the product's request."""
    try:
        raw = await request.read()
    except (web.HTTPException, OSError):
        raw = b""
    exchange = request[EXCHANGE]
    body = response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""
    return {
        "at": at,
        "call": exchange.call,
        "method": request.method,
        "path": request.raw_path,
        "headers": [[name, value] for name, value in request.headers.items()],
        "body": base64.b64encode(raw[:_LOGGED_BYTES]).decode(),
        "body_bytes": len(raw),
        "body_sha256": hashlib.sha256(raw).hexdigest(),
        "verdict": None,
        "nonce": None,
        "number": None,
        **exchange.facts,
        "answer": {
            "status": None if dropped else response.status,
            "body": body[:_LOGGED_BYTES].decode("utf-8", "replace"),
            "dropped": dropped,
            "elapsed_ms": since(exchange.began),
        },
    }
