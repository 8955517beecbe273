"""How an endpoint's answer becomes an HTTP response: JSON as the API promises it, headers, ETag and 304."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import orjson
from sanic import HTTPResponse, Request
from sanic.response import ResponseStream

from kernel import clock
from miniprogram_api.endpoints import Endpoint, Raw
from miniprogram_api.problems import SECURITY

_JSON = "application/json; charset=utf-8"
# Headers whose values are ours and the same for every answer: cleaned and encoded once instead of each time.
_CONSTANT = {
    name: (value, (name.encode("ascii"), value.encode("ascii")))
    for name, value in {**SECURITY, "content-type": _JSON, "connection": "keep-alive"}.items()
}


class Answer(HTTPResponse):
    """A response that does not clean its own constant headers again."""

    __slots__ = ()

    @property
    def processed_headers(self) -> Iterator[tuple[bytes, bytes]]:
        """Every header as bytes; what is not one of our constants goes the framework's careful way."""
        if self.status not in (204, 304):
            self.headers.setdefault("content-type", self.content_type)
        for name, value in self.headers.items():
            known = _CONSTANT.get(name)
            if known is not None and known[0] == value:
                yield known[1]
            else:
                yield (
                    self._sanitize_header_value(name).encode("ascii"),
                    self._sanitize_header_value(f"{value}").encode(errors="surrogateescape"),
                )


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
    headers = {**SECURITY, "X-Request-Id": request_id}
    if isinstance(answer, Raw):
        headers |= answer.headers
        headers.setdefault("Cache-Control", "no-store")
        if not isinstance(answer.body, bytes):
            return _streaming(answer, headers)
        body, content_type, status = answer.body, answer.content_type, answer.status
    elif row.status == 204:
        return Answer(status=204, headers={**headers, "Cache-Control": "no-store"})
    else:
        body, content_type, status = encode(answer), _JSON, row.status
        headers["Cache-Control"] = "no-cache" if row.etag else "no-store"
    if row.etag and status == 200:
        tag = headers.get("ETag") or f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers["ETag"] = tag
        wanted = request.headers.get("if-none-match")
        if wanted is not None and tag in [t.strip().removeprefix("W/") for t in wanted.split(",")]:
            return Answer(status=304, headers=headers)
    return Answer(body, status=status, content_type=content_type, headers=headers)


def _streaming(answer: Raw, headers: dict[str, str]) -> ResponseStream:
    async def pour(response: Any) -> None:
        async for chunk in answer.body:  # type: ignore[union-attr]
            await response.write(chunk)

    return ResponseStream(pour, status=answer.status, headers=headers, content_type=answer.content_type)
