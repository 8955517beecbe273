"""How an endpoint's answer becomes an HTTP response: JSON as the API promises it, headers, ETag and 304."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import orjson
from sanic import HTTPResponse, Request
from sanic.response import BaseHTTPResponse, ResponseStream

from backend.catalog.views import Prebuilt
from kernel import clock
from miniprogram_api.endpoints import Endpoint, Raw
from miniprogram_api.problems import SECURITY

Pair = tuple[bytes, bytes]  # a header as it is sent


def _pair(name: str, value: str) -> Pair:
    """A header with everything taken out that could end it or begin another; Raw answers carry what others wrote."""
    clean = HTTPResponse._sanitize_header_value
    return clean(name).encode("ascii"), clean(value).encode(errors="surrogateescape")


# What does not change from answer to answer is cleaned and encoded once.
_SECURITY = tuple(_pair(name, value) for name, value in SECURITY.items())
_CATALOGUE = (*_SECURITY, _pair("Cache-Control", "public, max-age=60"))
_ASK_AGAIN = (*_SECURITY, _pair("Cache-Control", "no-cache"))
_KEEP_NOTHING = (*_SECURITY, _pair("Cache-Control", "no-store"))
_JSON = _pair("content-type", "application/json; charset=utf-8")
_CONNECTION = {text: _pair("connection", text) for text in ("keep-alive", "close")}


class Answer(HTTPResponse):
    """A response whose own headers are bytes already; the framework would clean and encode each of them every time."""

    __slots__ = ("own",)

    def __init__(self, body: bytes, *, status: int, own: tuple[Pair, ...]) -> None:
        BaseHTTPResponse.__init__(self)  # type: ignore[no-untyped-call]
        self.body, self.status, self.own = body, status, own

    @property
    def processed_headers(self) -> Iterator[Pair]:
        """What framework and middleware have added to `headers`, then our own as they are."""
        for name, value in self.headers.items():
            known = _CONNECTION.get(value) if name == "connection" else None
            yield known or _pair(name, f"{value}")
        yield from self.own


def encode(value: Any) -> bytes:
    """JSON as the API promises it: instants with +08:00 to the second, Chinese unescaped."""
    plain = msgspec.to_builtins(value, builtin_types=(datetime,))
    body = orjson.dumps(plain, option=orjson.OPT_OMIT_MICROSECONDS)
    if b"+00:00" not in body:
        return body
    # Some instant was not yet in local time (or somebody wrote these characters): the slow way looks at each.
    return orjson.dumps(plain, default=_default, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _default(value: Any) -> Any:
    if isinstance(value, datetime):
        return clock.local(value).isoformat(timespec="seconds")
    raise TypeError(type(value).__name__)


def present(row: Endpoint, answer: Any, request: Request, request_id: str) -> HTTPResponse | ResponseStream:
    """The response of a successful call."""
    number = (b"X-Request-Id", request_id.encode("ascii"))
    if isinstance(answer, Prebuilt):
        return _tagged(answer.body, answer.etag, (*_CATALOGUE, number, _JSON), request)
    if isinstance(answer, Raw):
        return _raw(row, answer, request, request_id)
    if row.status == 204:
        return Answer(b"", status=204, own=(*_KEEP_NOTHING, number))
    body = answer if isinstance(answer, bytes) else encode(answer)
    if row.etag and row.status == 200:
        return _tagged(body, _tag(body), (*_ASK_AGAIN, number, _JSON), request)
    return Answer(body, status=row.status, own=(*_KEEP_NOTHING, number, _JSON))


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _tagged(body: bytes, tag: str, own: tuple[Pair, ...], request: Request) -> Answer:
    """The body with its ETag, or 304 for whoever has it already. The last of `own` is the content type."""
    wanted = request.headers.get("if-none-match")
    if wanted is not None and tag in [t.strip().removeprefix("W/") for t in wanted.split(",")]:
        return Answer(b"", status=304, own=(*own[:-1], _pair("ETag", tag)))
    return Answer(body, status=200, own=(*own, (b"ETag", tag.encode("ascii"))))


def _raw(row: Endpoint, answer: Raw, request: Request, request_id: str) -> HTTPResponse | ResponseStream:
    headers = {**SECURITY, "Cache-Control": "no-store", "X-Request-Id": request_id, **answer.headers}
    if not isinstance(answer.body, bytes):
        return _streaming(answer, headers)
    tagged = row.etag and answer.status == 200
    tag = headers.pop("ETag", "") if tagged else ""
    own = tuple(_pair(name, value) for name, value in headers.items())
    if answer.status == 204:
        return Answer(b"", status=204, own=own)
    own = (*own, _pair("content-type", answer.content_type))
    if tagged:
        return _tagged(answer.body, tag or _tag(answer.body), own, request)
    return Answer(answer.body, status=answer.status, own=own)


def _streaming(answer: Raw, headers: dict[str, str]) -> ResponseStream:
    async def pour(response: Any) -> None:
        async for chunk in answer.body:  # type: ignore[union-attr]
            await response.write(chunk)

    return ResponseStream(pour, status=answer.status, headers=headers, content_type=answer.content_type)
