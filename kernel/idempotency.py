"""Commands that run once: the client's key, the hash of what it asked, and the sealed answer, in the transaction of the effect."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import structlog

from kernel import clock, crypto, db, together
from kernel.looking import NeedsTransaction
from kernel.problems import Conflict, DatabaseUnavailable, Problem

log = structlog.get_logger(__name__)
T = TypeVar("T")
KEPT_HOURS = 48


class KeyReused(Problem):
    """The same key came with another body."""

    status, code, title = 422, "idempotency-key-reused", "同一个请求编号用在了不同的内容上，请刷新后重试"


class StillRunning(Conflict):
    """The first request with this key has not ended yet."""

    code, title = "request-in-progress", "相同的请求正在处理，请稍候"


class Idempotency(msgspec.Struct, frozen=True):
    """Who asked for what under which key. `scope` is actor and route, `request_hash` the SHA-256 of the body."""

    scope: str
    key: str
    request_hash: str


async def run_once(
    idem: Idempotency | None, answer_type: type[T], work: Callable[[], Awaitable[T]], *, gathers: bool = False
) -> T:
    """Runs `work` in one transaction together with its key and its answer; a repeated request gets the first answer again.

    A failing command leaves no trace, so the person may correct the input and try again with the same key.
    `gathers` says that `work` usually only reads (`kernel.rows`) and gathers its writes (`kernel.together`): then PostgreSQL
    gets one statement in place of the transaction. If that cannot be, or `work` refuses, the transaction runs `work` again and
    decides; so `work` must do nothing outside the database.
    Raises KeyReused (422) for another body under the same key.
    """
    if gathers and idem is not None and db.engine() == "postgres":
        try:
            return await _in_one_statement(idem, work)
        except NeedsTransaction as why:
            # Moved, repeated, refused or more than one statement can do: what follows knows which, under locks.
            log.debug("idempotency.transaction", cause=type(why.__cause__).__name__)
    async with db.transaction():
        if idem is None:
            async with together.gathered():
                return await work()
        replay = await _claim(idem)
        if replay is not None:
            return msgspec.json.decode(replay, type=answer_type)
        async with together.gathered():
            answer = await work()
            await together.write(
                "UPDATE kernel_idempotency SET answer = ? WHERE scope = ? AND key = ?",
                _sealed(answer, idem),
                idem.scope,
                _digest(idem.key),
            )
        return answer


async def _in_one_statement(idem: Idempotency, work: Callable[[], Awaitable[T]]) -> T:
    with together.one_statement() as statement:
        try:
            answer = await work()
        except DatabaseUnavailable:
            raise
        except Exception as error:  # perhaps only because it was done before: under the claim it is said again
            raise NeedsTransaction from error
    claim = (
        "INSERT INTO kernel_idempotency (scope, key, request_hash, answer, created_ms) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (scope, key) DO NOTHING RETURNING 1"
    )
    await statement.send(
        (claim, (idem.scope, _digest(idem.key), idem.request_hash, _sealed(answer, idem), clock.now_ms()))
    )
    return answer


async def _claim(idem: Idempotency) -> bytes | None:
    rows = await db.fetch(
        "INSERT INTO kernel_idempotency (scope, key, request_hash, created_ms) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (scope, key) DO NOTHING RETURNING id",
        idem.scope,
        _digest(idem.key),
        idem.request_hash,
        clock.now_ms(),
    )
    if rows:
        return None
    # A second statement: the first one's snapshot may not see what another transaction has just committed.
    known = await db.fetch(
        "SELECT request_hash, answer FROM kernel_idempotency WHERE scope = ? AND key = ?", idem.scope, _digest(idem.key)
    )
    if not known or known[0]["answer"] is None:
        raise StillRunning(retry_after_seconds=1)
    if known[0]["request_hash"] != idem.request_hash:
        raise KeyReused
    return crypto.unseal(known[0]["answer"], context=_context(idem))


async def sweep(*, limit: int = 1000) -> int:
    """Forgets answers older than the promise of 24 hours, in one bounded batch."""
    return await db.execute(
        "DELETE FROM kernel_idempotency WHERE id IN (SELECT id FROM kernel_idempotency WHERE created_ms < ? LIMIT ?)",
        clock.now_ms() - KEPT_HOURS * 3_600_000,
        limit,
    )


def _sealed(answer: Any, idem: Idempotency) -> str:
    return crypto.seal(msgspec.json.encode(answer), context=_context(idem))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _context(idem: Idempotency) -> str:
    return f"kernel_idempotency.answer:{idem.scope}:{_digest(idem.key)}"
