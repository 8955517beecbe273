"""Errors that a person or a client may see: a stable code, an HTTP status and a Chinese text (RFC 9457). Anything else is a bug."""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One wrong field: a JSON pointer into the request body and what to do about it."""

    pointer: str
    message: str


class Problem(Exception):
    """Base of every refusal. Subclasses set `status`, `code` (kebab-case, never changes) and `title` in the module that raises them."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad-request"
    title: ClassVar[str] = "请求有误"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        retry_after_seconds: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(self.code)
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.retry_after_seconds = retry_after_seconds
        self.extra = extra or {}


class NotFound(Problem):
    """Also the answer for another person's object: existence is private."""

    status, code, title = 404, "not-found", "没有找到您要的内容"


class Unauthenticated(Problem):
    """No session, or one that has ended."""

    status, code, title = 401, "not-logged-in", "请先登录"


class Forbidden(Problem):
    """Logged in, but this role may not do it."""

    status, code, title = 403, "not-allowed", "您没有权限进行这项操作"


class Conflict(Problem):
    """The object is in a state that does not allow the action."""

    status, code, title = 409, "wrong-state", "当前状态不能进行这项操作"


class Invalid(Problem):
    """The input breaks rules; `errors` names every bad field at once."""

    status, code, title = 422, "invalid-input", "填写的内容有误，请按提示修改"


class TooMany(Problem):
    """A limit was reached; `retry_after_seconds` says when to come back."""

    status, code, title = 429, "too-many-requests", "操作太频繁，请稍后再试"


class PartnerDown(Problem):
    """A partner did not answer; nothing of the person's work was lost."""

    status, code, title = 503, "partner-down", "对方系统暂时没有响应，您的内容已保存，请稍后再试"


class DatabaseUnavailable(Problem):
    """The database is restarting, locked or full; the same request with the same key is safe to repeat."""

    status, code, title = 503, "database-unavailable", "系统正忙，请稍后用同样的内容再试一次"


def all_problems(base: type[Problem] = Problem) -> list[type[Problem]]:
    """Every Problem class that is imported at present, for the documentation test."""
    found: list[type[Problem]] = []
    for child in base.__subclasses__():
        found.append(child)
        found.extend(all_problems(child))
    return found
