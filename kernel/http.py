"""The one outgoing HTTP client: deadlines, limits, breaker, and whether a request was sent at all."""

import asyncio
import ipaddress
import re
import types
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from socket import AddressFamily
from typing import Any

import aiohttp
import structlog
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict

from kernel import clock, metrics
from kernel.breaker import Breaker, RetryBudget

log = structlog.get_logger(__name__)

_CALLS = metrics.counter("partner_calls", "Calls to partners by outcome", "partner", "call", "outcome")
_SECONDS = metrics.histogram(
    "partner_call_seconds", "Time of a call", "partner", buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10)
)
_PHASE = metrics.gauge("partner_breaker_phase", "0 closed, 1 probing, 2 open", "partner")
_SKEW = metrics.gauge("partner_clock_skew_seconds", "Partner's Date header minus our clock", "partner")

_TARGET = re.compile(r"(?:[/?][!-~]*)?")
_CHUNK, _PIECE = 65536, 1 << 20
_MOST_REFUSAL_BYTES = 65536


class PartnerError(Exception):
    """A call without a usable answer. Names the partner and the call, never an address, a header or a body."""

    def __init__(self, partner: str, call: str, reason: str) -> None:
        super().__init__(f"{partner} {call}: {reason}")
        self.partner, self.call, self.reason = partner, call, reason


class NotSent(PartnerError):
    """Certainly nothing reached the partner: the same call may be made again at leisure."""


class NoAnswer(PartnerError):
    """The request may have been worked: the outcome is unknown until the partner is asked."""


@dataclass(frozen=True)
class Answer:
    """What came back. `body` is the decoded content, at most the caller's limit."""

    status: int
    headers: CIMultiDict[str]
    body: bytes


class _Resolver(AbstractResolver):
    """Refuses names that resolve to addresses no partner can have, such as a cloud's metadata service (SSRF)."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET
    ) -> list[ResolveResult]:
        """The usual answer, unless an address of it is refused."""
        found = await self._inner.resolve(host, port, family)
        for entry in found:
            if _never_a_partner(entry["host"]):
                raise OSError("the name resolves to an address that is refused")
        return found

    async def close(self) -> None:
        """Nothing is held."""
        await self._inner.close()


_session: aiohttp.ClientSession | None = None
_session_loop: asyncio.AbstractEventLoop | None = None


def _current_session() -> aiohttp.ClientSession:
    """The session of this process, created when the loop runs; a test's next loop gets its own."""
    global _session, _session_loop
    loop = asyncio.get_running_loop()
    if _session is None or _session_loop is not loop:
        _session_loop = loop
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_mark_sent)
        _session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=100, keepalive_timeout=10, resolver=_Resolver(), ttl_dns_cache=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            trace_configs=[trace],
            headers={"User-Agent": "zhangshangban", "Accept-Encoding": "identity"},
        )
        # Without this aiohttp would repeat a GET by itself when the partner hangs up: a silent second call.
        _session._retry_connection = False
    return _session


async def close() -> None:
    """Closes the client; the next call opens a new one. Called once at shutdown, and by tests."""
    global _session
    if _session is not None:
        session, _session = _session, None
        await session.close()


async def _mark_sent(session: Any, context: types.SimpleNamespace, params: Any) -> None:
    # Runs immediately before the first byte is written: earlier failures are certainly "not sent".
    context.trace_request_ctx.sent = True


class Partner:
    """One partner's door. `base_url` is the only address it can reach; a path in it stands before every target."""

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        total_seconds: float = 5.0,
        connect_seconds: float = 1.0,
        read_seconds: float = 3.0,
        concurrency: int = 8,
    ) -> None:
        self.name = name
        self.base_url = _checked_base(name, base_url)
        self.total_seconds, self.connect_seconds, self.read_seconds = total_seconds, connect_seconds, read_seconds
        self.breaker, self.retries = Breaker(), RetryBudget()
        self._concurrency = concurrency
        self._slots: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None

    def __repr__(self) -> str:
        return f"Partner({self.name!r})"

    def wire_target(self, target: str) -> str:
        """The raw path and query that will stand in the request line, for those who sign it."""
        return yarl.URL(self.base_url + target, encoded=True).raw_path_qs

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        total_seconds: float | None = None,
        max_bytes: int = 1 << 20,
        call: str = "call",
    ) -> Answer:
        """One attempt, no retry, no redirect. `target` goes on the wire as it is. Any HTTP status is an answer.

        `call` names the endpoint in logs and metrics. Raises NotSent or NoAnswer.
        """
        url = self._address(target, call)
        return await self._attempt(_Exchange(method, url, headers, body, max_bytes), call, total_seconds)

    async def download(
        self,
        target: str,
        *,
        into: Path,
        headers: Mapping[str, str] | None = None,
        total_seconds: float = 900.0,
        max_bytes: int,
        call: str = "download",
    ) -> Answer:
        """One GET whose 200 is written to the new file `into` as it comes, undecoded; its `body` is then empty.

        Any other answer is read as by `request`. Raises NotSent or NoAnswer, and then leaves no file behind.
        """
        url = self._address(target, call)
        try:
            answer = await self._attempt(_Exchange("GET", url, headers, None, max_bytes, into), call, total_seconds)
        except BaseException:
            into.unlink(missing_ok=True)
            raise
        return answer

    def _address(self, target: str, call: str) -> yarl.URL:
        if not _TARGET.fullmatch(target) or "#" in target or target.endswith("?"):
            raise ValueError(f"{self.name} {call}: the target must be a percent-encoded path and query")
        return yarl.URL(self.base_url + target, encoded=True)

    async def _attempt(self, exchange: "_Exchange", call: str, total_seconds: float | None) -> Answer:
        ticket = self.breaker.admit()
        if ticket is None:
            self._count(call, "not sent", 0.0, detail="breaker open")
            raise NotSent(self.name, call, "breaker open")
        self.retries.earn()
        started = clock.monotonic()
        try:
            async with asyncio.timeout(total_seconds or self.total_seconds), self._slot():
                exchange.begun = True
                answer = await self._perform(exchange)
        except (aiohttp.ClientError, OSError, _TooLargeError) as error:  # TimeoutError is an OSError
            if exchange.begun:
                self.breaker.record(ticket, failed=True)
            else:
                self.breaker.forget(ticket)  # no slot came free in time: that is our own crowd
            kind, outcome = (NoAnswer, "no answer") if exchange.sent else (NotSent, "not sent")
            self._count(call, outcome, clock.monotonic() - started, detail=_reason(error))
            # `from None`: the original error holds the address, and the address may hold a token.
            raise kind(self.name, call, _reason(error)) from None
        except BaseException:
            self.breaker.forget(ticket)
            raise
        self.breaker.record(ticket, failed=answer.status >= 500)
        self._count(call, f"{answer.status // 100}xx", clock.monotonic() - started, status=answer.status)
        self._measure_skew(answer)
        return answer

    async def _perform(self, exchange: "_Exchange") -> Answer:
        async with _current_session().request(
            exchange.method,
            exchange.url,
            headers=exchange.headers,
            data=exchange.body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self.connect_seconds, sock_connect=self.connect_seconds, sock_read=self.read_seconds
            ),
            trace_request_ctx=exchange,
        ) as response:
            if exchange.into is not None and response.status == HTTPStatus.OK:
                await _write(response, exchange.into, exchange.max_bytes)
                return Answer(response.status, CIMultiDict(response.headers), b"")
            raw = await _read(
                response, min(exchange.max_bytes, _MOST_REFUSAL_BYTES) if exchange.into else exchange.max_bytes
            )
            return Answer(response.status, CIMultiDict(response.headers), raw)

    def _slot(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._slots is None or self._slots[0] is not loop:
            self._slots = (loop, asyncio.Semaphore(self._concurrency))
        return self._slots[1]

    def _count(self, call: str, outcome: str, seconds: float, **facts: str | int) -> None:
        _CALLS.labels(self.name, call, outcome).inc()
        _SECONDS.labels(self.name).observe(seconds)
        _PHASE.labels(self.name).set(self.breaker.phase)
        log.info(
            "partner.call",
            partner=self.name,
            call=call,
            outcome=outcome,
            duration_ms=round(seconds * 1000, 1),
            **facts,
        )

    def _measure_skew(self, answer: Answer) -> None:
        theirs = _instant(answer.headers.get("Date"))
        if theirs is not None:
            _SKEW.labels(self.name).set((theirs - clock.now()).total_seconds())


@dataclass
class _Exchange:
    """One attempt and how far it came."""

    method: str
    url: yarl.URL
    headers: Mapping[str, str] | None
    body: bytes | None
    max_bytes: int
    into: Path | None = None
    begun: bool = False
    sent: bool = False


class _TooLargeError(Exception):
    """The answer is longer than the caller allows."""


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    raw = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        raw += chunk
        if len(raw) > max_bytes:
            raise _TooLargeError
    if encoding == "identity":
        return bytes(raw)
    if encoding not in ("gzip", "deflate"):
        raise aiohttp.ClientPayloadError("unknown content encoding")
    try:
        inflater = zlib.decompressobj(wbits=47)  # both formats; bounded, so that a bomb stays small
        plain = inflater.decompress(bytes(raw), max_bytes + 1)
    except zlib.error:
        raise aiohttp.ClientPayloadError("broken content encoding") from None
    if len(plain) > max_bytes:
        raise _TooLargeError
    return plain


async def _write(response: aiohttp.ClientResponse, into: Path, max_bytes: int) -> None:
    """In pieces of a megabyte, each written on a thread: neither the memory nor the loop notices how long the file is."""
    written = 0
    with into.open("xb") as file:
        waiting = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            waiting += chunk
            written += len(chunk)
            if written > max_bytes:
                raise _TooLargeError
            if len(waiting) >= _PIECE:
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(file.write, bytes(waiting))


def _reason(error: BaseException) -> str:
    if isinstance(error, _TooLargeError):
        return "answer too large"
    if isinstance(error, TimeoutError):
        return "timeout"
    return type(error).__name__


def _checked_base(name: str, base_url: str) -> str:
    url = yarl.URL(base_url)
    if url.scheme not in ("http", "https") or not url.host or url.user or url.password or url.query_string:
        raise ValueError(f"{name}：地址必须是 http(s)://主机[:端口][/路径]")
    if url.fragment or _never_a_partner(url.host):
        raise ValueError(f"{name}：这个地址不允许访问")
    return base_url.rstrip("/")


def _never_a_partner(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False  # a name: the resolver above looks at what it resolves to
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_link_local or address.is_multicast or address.is_unspecified


async def reachable(base_url: str, *, seconds: float = 2.0) -> bool:
    """Whether something accepts connections there; for `doctor`, which sends no request."""
    address = yarl.URL(base_url)
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except (TimeoutError, OSError):
        return False
    writer.close()
    return True


async def clock_skew(base_url: str, *, seconds: float = 2.0) -> float | None:
    """By how many seconds the clock over there is ahead of ours, from the `Date` header of any answer; None when none came.

    For `doctor`: the request says nothing about us and asks for nothing.
    """
    limit = aiohttp.ClientTimeout(total=seconds)
    try:
        async with _current_session().head(
            base_url, timeout=limit, allow_redirects=False, trace_request_ctx=types.SimpleNamespace()
        ) as answer:
            theirs = _instant(answer.headers.get("Date"))
    except (aiohttp.ClientError, OSError):
        return None
    return None if theirs is None else (theirs - clock.now()).total_seconds()


def _instant(date: str | None) -> datetime | None:
    """A `Date` header that names its zone."""
    try:
        found = parsedate_to_datetime(date) if date is not None else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
