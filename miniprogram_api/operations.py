"""What operators and developers ask: alive, ready, the API's description."""

from functools import lru_cache

import msgspec

from backend import readiness
from kernel.problems import Problem
from miniprogram_api import openapi, reference
from miniprogram_api.endpoints import ENDPOINTS, PUBLIC, Call, Raw, endpoint

VERSION = "0.1.0"
_TAG = "运行"


class NotReady(Problem):
    """This process should not get requests now; the answer says what is missing."""

    status, code, title = 503, "not-ready", "服务还没有准备好"


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str = "ok"


class Ready(msgspec.Struct, frozen=True):
    """Everything this process needs is there; each part with its state."""

    status: str
    parts: dict[str, str]


@endpoint("GET", "/healthz", summary="进程是否活着", tag=_TAG, roles=PUBLIC, answer=Alive, prefix="")
async def healthz(call: Call) -> Alive:
    return Alive()


@endpoint(
    "GET", "/readyz", summary="能否接受请求：数据库、结构版本、存储", tag=_TAG, roles=PUBLIC, answer=Ready, prefix=""
)
async def readyz(call: Call) -> Ready:
    parts = await readiness.parts()
    if any(state != "ok" for state in parts.values()):
        raise NotReady(
            "、".join(f"{name}：{state}" for name, state in parts.items() if state != "ok"), retry_after_seconds=2
        )
    return Ready("ok", parts)


@lru_cache(maxsize=1)
def description() -> bytes:
    """The OpenAPI document as served; also checked in as docs/openapi.json."""
    return msgspec.json.format(msgspec.json.encode(openapi.document(ENDPOINTS, version=VERSION)), indent=2)


@endpoint(
    "GET",
    "/openapi.json",
    summary="接口描述（OpenAPI 3.1）",
    tag=_TAG,
    roles=PUBLIC,
    raw_answer="application/json",
    etag=True,
    prefix="",
)
async def openapi_json(call: Call) -> Raw:
    return Raw(body=description(), headers={"Cache-Control": "public, max-age=60"})


@endpoint("GET", "/docs", summary="接口说明页", tag=_TAG, roles=PUBLIC, raw_answer="text/html", etag=True, prefix="")
async def docs(call: Call) -> Raw:
    return Raw(
        body=_reference(),
        content_type="text/html; charset=utf-8",
        headers={
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
            "Cache-Control": "public, max-age=60",
        },
    )


@lru_cache(maxsize=1)
def _reference() -> bytes:
    """Made once: it does not change while we run."""
    return reference.page(description())
