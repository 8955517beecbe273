"""Renders every refusal once, as RFC 9457 `application/problem+json` in Chinese; anything that is not a Problem is a bug."""

from typing import Any

import msgspec
from sanic import HTTPResponse
from sanic import exceptions as sanic_errors

from kernel import db
from kernel.problems import DatabaseUnavailable, NotFound, Problem

TYPE_BASE = "https://zhangshangban.example/docs/problems#"
CONTENT_TYPE = "application/problem+json; charset=utf-8"
# On every answer, refusals included: nothing is sniffed, framed or told to other sites.
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


class TooLarge(Problem):
    """The body is bigger than this route accepts."""

    status, code, title = 413, "too-large", "内容太大，请压缩后重试"


class WrongMethod(Problem):
    """The path exists, the method does not."""

    status, code, title = 405, "method-not-allowed", "这个地址不支持这种请求方式"


class Malformed(Problem):
    """The request breaks HTTP itself."""

    status, code, title = 400, "malformed-request", "请求格式不正确"


class TooSlow(Problem):
    """The body did not arrive in time."""

    status, code, title = 408, "request-timeout", "网络太慢，内容没有传完，请重试"


class KeyMissing(Problem):
    """A command came without its Idempotency-Key."""

    status, code, title = 400, "idempotency-key-missing", "请求缺少编号（Idempotency-Key），请升级小程序后重试"


class Overloaded(Problem):
    """Too much at once; lists are shed before submissions and payments."""

    status, code, title = 503, "overloaded", "现在办事的人太多，请稍后再试"


class Broken(Problem):
    """A bug of ours. It is logged and counted; the person is told that nothing is lost."""

    status, code, title = 500, "internal-error", "系统出了点问题，我们已经记录，请稍后再试"


class DeadlinePassed(Problem):
    """We could not answer in time."""

    status, code, title = 503, "deadline-passed", "系统响应超时，请稍后用同样的内容再试一次"


class ProblemBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The body of every refusal."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[dict[str, str]] = []


def from_exception(error: Exception) -> Problem:
    """The Problem behind an exception of the framework; unknown ones become Broken."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, sanic_errors.PayloadTooLarge):
        return TooLarge()
    if isinstance(error, sanic_errors.MethodNotAllowed):
        return WrongMethod()
    if isinstance(error, sanic_errors.RequestTimeout):
        return TooSlow()
    if isinstance(error, sanic_errors.NotFound):
        return NotFound("没有这个地址")
    if isinstance(error, sanic_errors.BadRequest | sanic_errors.HeaderNotFound):
        return Malformed()
    if isinstance(error, sanic_errors.ServiceUnavailable):
        return DeadlinePassed(retry_after_seconds=2)
    if isinstance(error, TimeoutError):
        return DeadlinePassed(retry_after_seconds=2)
    if db.is_outage(error):  # a read through the ORM, outside any transaction of ours
        return DatabaseUnavailable(retry_after_seconds=2)
    return Broken()


def headers_of(error: Exception) -> dict[str, str]:
    """What HTTP itself wants to be told beside the refusal: which methods a path knows."""
    known = error.allowed_methods if isinstance(error, sanic_errors.MethodNotAllowed) else None
    return {"Allow": ", ".join(sorted(known))} if known else {}


def render(problem: Problem, request_id: str, more_headers: dict[str, str] | None = None) -> HTTPResponse:
    """The HTTP answer of a refusal."""
    body: dict[str, Any] = {
        "type": TYPE_BASE + problem.code,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id,
        **problem.extra,
    }
    if problem.errors:
        body["errors"] = [{"pointer": e.pointer, "message": e.message} for e in problem.errors]
    headers = {**SECURITY, "Cache-Control": "no-store", "X-Request-Id": request_id, **(more_headers or {})}
    if problem.retry_after_seconds is not None:
        headers["Retry-After"] = str(problem.retry_after_seconds)
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return HTTPResponse(msgspec.json.encode(body), status=problem.status, content_type=CONTENT_TYPE, headers=headers)
