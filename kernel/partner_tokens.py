"""A partner's access token for all processes: sealed in the database, fetched by one holder of a lease, dropped by comparison."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from kernel import clock, crypto, db
from kernel.http import NotSent, PartnerError

_FRESH_MS = 300_000  # below five minutes the next one is fetched
_LEASE_MS = 10_000  # longer than a fetch can take
_WAIT_SECONDS = 6.0
_POLL_SECONDS = 0.05
_SULK_SECONDS = 1.0  # after a failed fetch the callers that queued behind it fail at once


@dataclass(frozen=True)
class Fetched:
    """A new token and how long it lives."""

    token: str = field(repr=False)
    expires_in_seconds: int


@dataclass(frozen=True)
class _Held:
    token: str = field(repr=False)
    sealed: str
    left_ms: int


class TokenHolder:
    """`get` answers a usable token, `drop` forgets one that the partner refused. One instance per partner and process."""

    def __init__(self, name: str, fetch: Callable[[], Awaitable[Fetched]]) -> None:
        self.name = name
        self._fetch = fetch
        self._gate: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._failed: tuple[float, PartnerError] | None = None

    async def get(self) -> str:
        """The shared token. Raises what the fetch raises; losers of the race wait for the winner and never fetch."""
        if db.in_transaction():
            raise RuntimeError("a partner must not be called inside a transaction")
        held = await self._read()
        if held is not None and held.left_ms > _FRESH_MS:
            return held.token
        async with self._lock():
            return await self._get_anew()

    async def drop(self, token: str) -> None:
        """Forgets this very token, so that the next `get` fetches; a newer one of another process stays."""
        held = await self._read()
        if held is not None and crypto.constant_equal(held.token, token):
            await db.execute(
                "UPDATE kernel_partner_token SET token = NULL, expires_ms = 0 WHERE name = ? AND token = ?",
                self.name,
                held.sealed,
            )

    async def _get_anew(self) -> str:
        deadline = clock.monotonic() + _WAIT_SECONDS
        while True:
            held = await self._read()
            if held is not None and held.left_ms > _FRESH_MS:
                return held.token
            self._raise_recent_failure(held)
            lease = secrets.token_hex(16)
            if await self._claim(lease):
                return await self._fetch_under(lease, held)
            if held is not None and held.left_ms > 0:
                return held.token  # somebody is fetching; the old one works meanwhile
            if clock.monotonic() >= deadline:
                raise NotSent(self.name, "token", "another process is fetching")
            await asyncio.sleep(_POLL_SECONDS)

    async def _fetch_under(self, lease: str, held: _Held | None) -> str:
        try:
            fetched = await self._fetch()
        except PartnerError as error:
            await self._release(lease)
            self._failed = (clock.monotonic(), error)
            if held is not None and held.left_ms > 0:
                return held.token
            raise
        except BaseException:
            await asyncio.shield(self._release(lease))
            raise
        self._failed = None
        await db.execute(
            "UPDATE kernel_partner_token SET token = ?, expires_ms = ?, lease = NULL, lease_until_ms = 0 "
            "WHERE name = ? AND lease = ?",
            crypto.seal(fetched.token, context=self._context()),
            clock.now_ms() + fetched.expires_in_seconds * 1000,
            self.name,
            lease,
        )
        return fetched.token

    async def _read(self) -> _Held | None:
        rows = await db.fetch("SELECT token, expires_ms FROM kernel_partner_token WHERE name = ?", self.name)
        if not rows or rows[0]["token"] is None:
            return None
        sealed = rows[0]["token"]
        try:
            token = crypto.unseal_text(sealed, context=self._context())
        except crypto.BrokenSeal:
            return None  # its key was destroyed: fetch another
        return _Held(token, sealed, rows[0]["expires_ms"] - clock.now_ms())

    async def _claim(self, lease: str) -> bool:
        now = clock.now_ms()
        await db.execute(
            "INSERT INTO kernel_partner_token (name, expires_ms, lease_until_ms) VALUES (?, 0, 0) "
            "ON CONFLICT (name) DO NOTHING",
            self.name,
        )
        changed = await db.execute(
            # A lease further ahead than any lease can be was written by a clock that jumped.
            "UPDATE kernel_partner_token SET lease = ?, lease_until_ms = ? WHERE name = ? "
            "AND (lease IS NULL OR lease_until_ms <= ? OR lease_until_ms > ?) AND expires_ms <= ?",
            lease,
            now + _LEASE_MS,
            self.name,
            now,
            now + 2 * _LEASE_MS,
            now + _FRESH_MS,
        )
        return changed == 1

    async def _release(self, lease: str) -> None:
        await db.execute(
            "UPDATE kernel_partner_token SET lease = NULL, lease_until_ms = 0 WHERE name = ? AND lease = ?",
            self.name,
            lease,
        )

    def _raise_recent_failure(self, held: _Held | None) -> None:
        if self._failed is None or held is not None:
            return
        at, error = self._failed
        if clock.monotonic() - at < _SULK_SECONDS:
            raise type(error)(error.partner, error.call, error.reason)

    def _lock(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self._gate is None or self._gate[0] is not loop:
            self._gate = (loop, asyncio.Lock())
        return self._gate[1]

    def _context(self) -> str:
        return f"kernel_partner_token.token:{self.name}"
