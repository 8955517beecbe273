"""How a route is declared: path, types, who may call it, and what the framework does around it. One table serves routing, OpenAPI and tests."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from backend.catalog.views import Prebuilt
from backend.identity.actor import Actor
from kernel.idempotency import Idempotency

CITIZEN: frozenset[str] = frozenset({"citizen"})
COURIER: frozenset[str] = frozenset({"courier"})
AGENT: frozenset[str] = frozenset({"agent"})
# An agent has no photo to send until there are mandates.
PHOTOGRAPHERS: frozenset[str] = CITIZEN | COURIER
ANYONE_LOGGED_IN: frozenset[str] = frozenset({"citizen", "courier", "agent"})
PUBLIC: frozenset[str] = frozenset()

# Path parameters by name: what they look like and what they are called in the documentation.
PATH_RULES: dict[str, str] = {
    "case_no": r"\d{21}",
    "item_code": r"[A-Za-z0-9._-]{1,64}",
    "bill_no": r"[0-9A-Z]{26}",
    "payment_no": r"[0-9A-Z]{26}",
    "receipt_no": r"[0-9A-Z]{26}",
    "code": r"[0-9A-Z]{26}",
    "delivery_no": r"[0-9A-Z]{26}",
    "waybill_no": r"[0-9A-Za-z]{6,32}",
    "material_id": r"[a-z2-7]{26}",
    "upload_id": r"[a-z2-7]{26}",
    "message_id": r"[a-z2-7]{26}",
    "result_id": r"[a-z2-7]{26}",
    "number": r"[1-9]\d{0,2}",
    "verb": r"[a-z]{2,20}\.[a-z]{2,20}",
    "carrier": r"[a-z]{2,16}",
}


@dataclass(frozen=True, kw_only=True)
class Raw:
    """An answer that is already bytes: a photo, a partner's acknowledgement, a file."""

    body: bytes | AsyncIterator[bytes]
    content_type: str = "application/json; charset=utf-8"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request as an endpoint sees it."""

    request_id: str
    headers: Any
    path: dict[str, str]
    raw: bytes
    query: Any
    current_actor: Actor | None
    idem: Idempotency | None
    ip: str = ""  # of the caller, for commands only: reading it costs more than most pages
    stream: AsyncIterator[bytes] | None = None

    @property
    def actor(self) -> Actor:
        """Who is asking; only for endpoints that demand a login."""
        if self.current_actor is None:
            raise RuntimeError("a public endpoint has no actor")
        return self.current_actor


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One row of the table of routes."""

    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    summary: str
    tag: str
    roles: frozenset[str]
    body: type | None
    query: type | None
    answer: type | None
    status: int
    idempotent: bool
    etag: bool
    streamed: bool
    limit: str | None
    raw_answer: str | None
    max_body: int
    prefix: str
    at_hand: Callable[[dict[str, str], Any], Prebuilt | None] | None = None
    proves_login: bool = False

    @property
    def route(self) -> str:
        """The full path template, as it appears in the documentation, logs and metrics."""
        return self.prefix + self.path

    @property
    def parameters(self) -> list[str]:
        """Names of the path parameters in order."""
        return re.findall(r"\{(\w+)\}", self.path)


ENDPOINTS: list[Endpoint] = []
H = TypeVar("H", bound=Callable[..., Awaitable[Any]])


def endpoint(
    method: str,
    path: str,
    *,
    summary: str,
    tag: str,
    roles: frozenset[str],
    body: type | None = None,
    query: type | None = None,
    answer: type | None = None,
    status: int = 200,
    idempotent: bool = False,
    etag: bool = False,
    streamed: bool = False,
    limit: str | None = None,
    raw_answer: str | None = None,
    max_body: int = 256 * 1024,
    prefix: str = "/api/v1",
    at_hand: Callable[[dict[str, str], Any], Prebuilt | None] | None = None,
    proves_login: bool = False,
) -> Callable[[H], H]:
    """Declares a route. `limit` is per account, or per address for public routes, e.g. "10/minute".

    `at_hand` gets path and query and answers at once what the process has in its memory, or None; only for public routes.
    A handler that `proves_login` gets the hash of the token, path and query, and answers the future of a `Seen`: its one
    statement finds out both who asks and what they may see.
    """
    if at_hand is not None and (roles or limit is not None):
        raise ValueError(f"{path}: an answer at hand would pass by login and limit")

    def declare(handler: H) -> H:
        row = Endpoint(
            method=method, path=path, handler=handler, summary=summary, tag=tag, roles=roles, body=body, query=query,
            answer=answer, status=status, idempotent=idempotent, etag=etag, streamed=streamed, limit=limit,
            raw_answer=raw_answer, max_body=max_body, prefix=prefix, at_hand=at_hand,
            proves_login=proves_login,
        )  # fmt: skip
        unknown = [name for name in row.parameters if name not in PATH_RULES]
        if unknown:
            raise ValueError(f"{path}: no rule for {unknown}")
        ENDPOINTS.append(row)
        return handler

    return declare
