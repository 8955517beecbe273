"""What happens around every endpoint: admission, its own task in a clean context, login, limits, parsing, answer, log line and metrics."""

import asyncio
import contextvars
import hashlib
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import structlog
from sanic import HTTPResponse, Request
from sanic.compat import Header
from sanic.exceptions import SanicException
from sanic.response import ResponseStream

from backend.identity import login
from backend.identity.actor import Actor
from kernel import logs, metrics
from kernel.idempotency import Idempotency
from kernel.limits import Limiter
from kernel.problems import Forbidden, Invalid, NotFound, Unauthenticated
from miniprogram_api import problems, validation
from miniprogram_api.answers import present
from miniprogram_api.endpoints import PATH_RULES, Call, Endpoint
from miniprogram_api.in_flight import InFlight
from miniprogram_api.settings import HttpSettings

_LOGGER = "api"
_log = structlog.get_logger(_LOGGER)
_seconds = metrics.histogram(
    "http_request_seconds", "Time to answer", "route", "method", "status",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)  # fmt: skip
_shed = metrics.counter("http_shed_total", "Requests refused because too many were in flight", "route")
# A little more than nginx lets through (client_max_body_size); it hands bodies over complete, so this takes no time.
_MOST_SWALLOWED, _SWALLOW_SECONDS = 13 * 1024 * 1024, 5
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_RULES = {name: re.compile(rule, re.ASCII) for name, rule in PATH_RULES.items()}


class Cycle:
    """Runs endpoints for one process; counts what is in flight so that overload sheds lists before submissions."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self.limiter: Limiter  # set when the process opens up
        self._in_flight = InFlight(settings.deadline_seconds)

    def serve(self, row: Endpoint) -> Any:
        """The Sanic handler of an endpoint."""
        meter = _Meter(row)

        async def handler(request: Request, **path: str) -> HTTPResponse | ResponseStream | None:
            started = time.perf_counter()
            number = request_id(request)
            try:
                answer = await self._answer(row, request, path, number)
                status = answer.status
            except asyncio.CancelledError:
                meter.note(number, 499, started)
                raise
            except Exception as error:
                problem = problems.from_exception(error)
                if problem.status == 500:
                    _complain(row, number, error)
                answer, status = problems.render(problem, number), problem.status
                if row.streamed:
                    await _swallow(request)
            meter.note(number, status, started)
            return answer

        handler.__name__ = re.sub(r"\W+", "_", f"{row.method}{row.path}").lower()
        return handler

    async def drain(self, seconds: float) -> None:
        """Waits for commands whose caller may already have hung up."""
        await self._in_flight.drain(seconds)

    async def _answer(
        self, row: Endpoint, request: Request, path: dict[str, str], number: str
    ) -> HTTPResponse | ResponseStream:
        self._admit(row)
        for name, value in path.items():
            if not _RULES[name].fullmatch(value):
                raise NotFound
        if row.at_hand is not None and (known := row.at_hand(path, _query(row, request))) is not None:
            return present(row, known, request, number)
        if row.proves_login:
            return present(row, await self._read(row, request, path), request, number)
        if row.streamed and request.stream is not None:
            request.stream.request_max_size = row.max_body  # before the first chunk, or there is no limit at all
        # Its own task and context: all requests of a connection run in one task of the framework, which hanging up cancels.
        work = self._work(row, request, path, number)
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        if row.streamed:
            # A half-received upload ends with its sender; what was already stored is safe in its own transactions.
            return present(row, await task, request, number)
        answer = await self._in_flight.result(task, unheard=partial(_unheard, row, number))
        return present(row, answer, request, number)

    async def _read(self, row: Endpoint, request: Request, path: dict[str, str]) -> bytes:
        """A hot read: login and rows by one statement, which runs with those of others in a task and context of its own."""
        digest = login.digest_of(_token(request))
        if digest is None:
            raise Unauthenticated
        try:
            reading: Any = row.handler(digest, path, _query(row, request))
        except Invalid:
            await _actor(row, request)  # who may not ask at all is told so first
            raise
        seen: login.Seen | None = await self._in_flight.arrival(reading)
        if seen is None:
            raise Unauthenticated
        if seen.stale:
            await login.touch(seen.session_id)
        if seen.role not in row.roles:
            raise Forbidden
        if seen.body is None:
            raise NotFound(seen.absent)
        return seen.body

    def _admit(self, row: Endpoint) -> None:
        limit = self.settings.most_in_flight * (1 if row.method in ("GET", "HEAD") else 2)
        if len(self._in_flight) >= limit:
            _shed.labels(row.route).inc()
            raise problems.Overloaded(retry_after_seconds=2)

    async def _work(self, row: Endpoint, request: Request, path: dict[str, str], number: str) -> Any:
        """Everything that may have to wait: login, limits, the endpoint itself."""
        logs.bind(request_id=number)
        if not row.streamed and len(request.body) > row.max_body:
            raise problems.TooLarge
        actor = await _actor(row, request) if row.roles else None
        if row.limit is not None:
            who = actor.account_ref if actor else request.remote_addr or request.ip
            await self.limiter.check(f"{row.method} {row.route}", who, row.limit)
        call = Call(
            request_id=number, headers=_readable(request), path=path,
            raw=b"" if row.streamed else request.body, query=_query(row, request),
            current_actor=actor, idem=_idempotency(row, request, path, actor),
            ip="" if row.method in ("GET", "HEAD") else request.remote_addr or request.ip,
            stream=_chunks(request) if row.streamed else None,
        )  # fmt: skip
        if row.streamed or row.body is None:
            return await row.handler(call)
        return await row.handler(call, validation.decode(call.raw, row.body))


def request_id(request: Request) -> str:
    """The caller's X-Request-Id when it is well formed, else one of ours."""
    known: str | None = getattr(request.ctx, "request_id", None)
    if known is None:
        given = request.headers.get("x-request-id", "")
        # Given ones appear in logs and answers: nobody's number shall get there by this door.
        fits = _REQUEST_ID.fullmatch(given) and logs.clean(given) == given
        known = request.ctx.request_id = given if fits else _new_request_id()
    return known


def _new_request_id() -> str:
    """128 random bits as letters only, so that no run of digits in it can look like somebody's number."""
    return os.urandom(16).hex().translate(_LETTERS)


def _readable(request: Request) -> Header:
    """The headers as text that can be encoded again: the framework turns bytes that are no UTF-8 into lone surrogates."""
    if request.head.isascii():
        return request.headers
    return Header(
        (name, value.encode(errors="surrogateescape").decode(errors="replace"))
        for name, value in request.headers.items()
    )


_MOST_QUERIES, _LONGEST_QUERY = 1024, 200
_queries: dict[tuple[Any, str], Any] = {}


def _query(row: Endpoint, request: Request) -> Any:
    """The query string as the row wants it. Few are ever asked and the structs are frozen: each is judged once and remembered."""
    wanted, text = row.query, request.query_string
    if wanted is None:
        return None
    if len(text) > _LONGEST_QUERY:
        return validation.query(request.args, wanted)
    known = _queries.get((wanted, text))
    if known is None:
        known = validation.query(request.args if text else {}, wanted)
        if len(_queries) >= _MOST_QUERIES:
            _queries.pop(next(iter(_queries)))
        _queries[wanted, text] = known
    return known


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


async def _actor(row: Endpoint, request: Request) -> Actor:
    actor = await login.authenticate(token=_token(request))
    if actor is None:
        raise Unauthenticated
    if actor.role not in row.roles:
        raise Forbidden
    return actor


def _unheard(row: Endpoint, number: str, error: BaseException) -> None:
    """The end of a request whose sender has hung up: a refusal is nobody's news any more, a bug still is."""
    if not isinstance(error, Exception) or problems.from_exception(error).status == 500:
        _complain(row, number, error)


def _complain(row: Endpoint, number: str, error: BaseException) -> None:
    _log.error("request failed", route=row.route, method=row.method, request_id=number, exc_info=error)


def _idempotency(row: Endpoint, request: Request, path: dict[str, str], actor: Actor | None) -> Idempotency | None:
    if not row.idempotent or actor is None:
        return None
    key = request.headers.get("idempotency-key", "")
    if not _VISIBLE.fullmatch(key):
        raise problems.KeyMissing
    target = row.path.format(**path)
    digest = hashlib.sha256(target.encode() + b"\n" + request.body).hexdigest()
    return Idempotency(scope=f"{actor.role}:{actor.account_ref} {row.method} {row.path}", key=key, request_hash=digest)


async def _swallow(request: Request) -> None:
    """Reads what is left of a refused upload and forgets it.

    An unread body resets the connection, and behind a proxy the next request on it is somebody else's.
    """
    stream: Any = request.stream
    stream.request_max_size = _MOST_SWALLOWED
    try:
        async with asyncio.timeout(_SWALLOW_SECONDS):
            while stream.request_body and await stream.read() is not None:
                pass
    except (TimeoutError, SanicException):
        stream.keep_alive = False


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    while request.stream is not None:
        chunk = await request.stream.read()  # type: ignore[attr-defined]
        if chunk is None:
            return
        yield chunk


class _Meter:
    """Counts the answers of one route: for each status a log line and a histogram that are looked up once."""

    def __init__(self, row: Endpoint) -> None:
        self._row = row
        self._known: dict[int, tuple[Callable[[float], None], logs.BriefLine]] = {}

    def note(self, number: str, status: int, started: float) -> None:
        seconds = time.perf_counter() - started
        observe, line = self._known.get(status) or self._meet(status)
        observe(seconds)
        line.write(request_id=number, seconds=seconds)

    def _meet(self, status: int) -> tuple[Callable[[float], None], logs.BriefLine]:
        route, method = self._row.route, self._row.method
        observe = _seconds.labels(route, method, str(status)).observe
        line = logs.BriefLine("request", logger=_LOGGER, route=route, method=method, status=status)
        self._known[status] = observe, line
        return self._known[status]
