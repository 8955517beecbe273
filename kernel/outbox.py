"""Promises to the outside: publishing in the transaction of the fact, claiming under a lease, and what may happen to a row.

The running loop is in `kernel.worker`. One statement claims on both engines; every later write is a compare-and-set on the
lease token, so a slow holder can never finish what another has taken over.
"""

import json
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from kernel import clock, db, together

READY, DONE, DEAD = 0, 1, 2
# A row that kills its process does so every time. Three would also meet innocent ones: in a storm of kills from outside one row
# was seen to lose its holder twice within half a minute.
MAX_CRASHES = 5
_ERROR_LENGTH = 500


class Permanent(Exception):
    """Trying again cannot help: the row goes to the dead list at once, where an operator sees it."""


class RetryLater(Exception):
    """Not now: try again after `seconds` (a partner said when, or something is not there yet)."""

    def __init__(self, seconds: float, reason: str) -> None:
        super().__init__(reason)
        self.seconds = seconds


class LeaseLost(Exception):
    """Another worker owns the row now; what this one did in its transaction must be rolled back."""


@dataclass(frozen=True)
class Delivery:
    """One claimed row as its handler sees it."""

    id: int
    topic: str
    key: str
    lane: str | None
    payload: dict[str, Any]
    attempts: int
    crashes: int
    lease: str
    created_ms: int

    async def finish(self) -> None:
        """Marks the row done. Inside the handler's own transaction this makes effect and finish one; raises LeaseLost otherwise."""
        if not await _set(self, "state = ?, lease = NULL, done_ms = ?, error = NULL", DONE, clock.now_ms()):
            raise LeaseLost(self.key)


Handler = Callable[[Delivery], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Topic:
    """How rows of one topic are worked: by whom, for how long, how many at once, and when they are given up."""

    name: str
    handler: Handler
    max_age_hours: float = 72
    timeout_seconds: float = 30
    concurrency: int = 8
    backoff_cap_seconds: float = 600
    # A timer's tick that failed has a successor: it ends with its error instead of waiting for a person on the dead list.
    has_successor: bool = False


async def publish(
    topic: str, *, key: str, payload: Mapping[str, Any], lane: str | None = None, run_at: datetime | None = None
) -> None:
    """Writes a promise in the caller's transaction; a key that is already there is left alone.

    `payload` holds ids, never personal data. Rows of one `lane` run one after the other.
    """
    if not db.in_transaction():
        raise RuntimeError("a promise belongs into the transaction of its fact")
    now = clock.now_ms()
    due = int(run_at.timestamp() * 1000) if run_at else now
    await together.write(
        "INSERT INTO kernel_outbox (topic, key, lane, payload, state, run_at, attempts, crashes, created_ms) "
        "VALUES (?, ?, ?, ?, 0, ?, 0, 0, ?) ON CONFLICT (key) DO NOTHING",
        topic,
        key,
        lane,
        msgspec.json.encode(dict(payload)).decode(),
        due,
        now,
    )


_RETURNING = "RETURNING id, topic, key, lane, payload, attempts, crashes, created_ms"


async def claim(limit: int, *, lease_ms: int, exclude: tuple[str, ...] = ()) -> list[Delivery]:
    """Leases up to `limit` due rows that nobody holds, oldest first, at most one per lane."""
    return await _claim("o.lease IS NULL AND o.run_at <= {now}", limit, lease_ms, exclude)


async def claim_suspect(*, lease_ms: int, longest_lease_ms: int) -> Delivery | None:
    """Takes over one row whose holder vanished: its lease ran out, or lies further ahead than any lease can (a clock jumped)."""
    vanished = f"o.lease IS NOT NULL AND (o.run_at <= {{now}} OR o.run_at > {{now}} + {2 * longest_lease_ms})"
    rows = await _claim(vanished, 1, lease_ms, ())
    return rows[0] if rows else None


def _database_now() -> str:
    """Leases are judged by the database's clock, the only one all workers share; on SQLite that is the machine's own."""
    if db.engine() == "postgres" and clock.is_machine():
        return "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    return str(clock.now_ms())


async def _claim(due: str, limit: int, lease_ms: int, exclude: tuple[str, ...]) -> list[Delivery]:
    token, now = secrets.token_hex(16), _database_now()
    due = due.format(now=now)
    # As an array the inner query runs exactly once; PostgreSQL may repeat a plain IN (… LIMIT n) and lease more than n rows.
    chosen, skip, end = ("IN (", "", ")")
    if db.engine() == "postgres":
        chosen, skip, end = ("= ANY (ARRAY(", "FOR UPDATE SKIP LOCKED", "))")
    topics = f"AND o.topic NOT IN ({', '.join('?' * len(exclude))})" if exclude else ""
    rows = await db.fetch(
        f"""UPDATE kernel_outbox SET lease = ?, run_at = {now} + {int(lease_ms)}, attempts = attempts + 1,
                   crashes = crashes + CASE WHEN lease IS NULL THEN 0 ELSE 1 END
             WHERE id {chosen}SELECT o.id FROM kernel_outbox o
                           WHERE o.state = 0 AND {due} {topics}
                             AND (o.lane IS NULL OR NOT EXISTS (SELECT 1 FROM kernel_outbox p
                                   WHERE p.lane = o.lane AND p.state = 0 AND p.id < o.id))
                           ORDER BY o.run_at, o.id LIMIT ? {skip}{end}
               AND state = 0 {_RETURNING}""",
        token,
        *exclude,
        limit,
    )
    rows.sort(key=lambda row: row["id"])
    return [Delivery(**{**row, "payload": json.loads(row["payload"]), "lease": token}) for row in rows]


async def _set(delivery: Delivery, assignments: str, *params: Any) -> bool:
    changed = await db.execute(
        f"UPDATE kernel_outbox SET {assignments} WHERE id = ? AND lease = ? AND state = 0",
        *params,
        delivery.id,
        delivery.lease,
    )
    return changed == 1


async def extend(delivery: Delivery, *, lease_ms: int) -> bool:
    """Heartbeat, by the clock that judges leases; False means the lease is lost."""
    return await _set(delivery, f"run_at = {_database_now()} + {int(lease_ms)}")


async def release(delivery: Delivery) -> bool:
    """Gives an unfinished row back at once (shutdown)."""
    return await _set(delivery, "run_at = ?, lease = NULL", clock.now_ms())


async def hand_back(surplus: Sequence[Delivery]) -> None:
    """Gives back rows of one claim that were never begun, as if they had not been claimed."""
    if surplus:
        await db.execute(
            "UPDATE kernel_outbox SET lease = NULL, run_at = ?, attempts = attempts - 1 "
            f"WHERE lease = ? AND state = 0 AND id {db.any_of([d.id for d in surplus], 'bigint')}",
            clock.now_ms(),
            surplus[0].lease,
            *db.values_of([d.id for d in surplus]),
        )


async def fail(delivery: Delivery, topic: Topic, error: str, *, after_seconds: float | None = None) -> bool:
    """Schedules the next try with backoff and jitter, or declares the row dead when its topic's age is exceeded."""
    now = clock.now_ms()
    if now - delivery.created_ms > topic.max_age_hours * 3_600_000:
        if topic.has_successor:
            ended = "state = ?, lease = NULL, done_ms = ?, error = ?"
            return await _set(delivery, ended, DONE, now, error[:_ERROR_LENGTH])
        return await bury(delivery, error)
    fails = max(delivery.attempts - delivery.crashes, 1)
    seconds = after_seconds if after_seconds is not None else min(topic.backoff_cap_seconds, 0.5 * 2 ** min(fails, 20))
    wait_ms = int(seconds * 1000 * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, not a secret
    return await _set(delivery, "run_at = ?, lease = NULL, error = ?", now + wait_ms, error[:_ERROR_LENGTH])


async def bury(delivery: Delivery, error: str) -> bool:
    """Moves the row to the dead list; its lane goes on."""
    return await _set(delivery, "state = ?, lease = NULL, error = ?", DEAD, error[:_ERROR_LENGTH])


async def dead(*, limit: int = 50, before_id: int | None = None) -> list[dict[str, Any]]:
    """The dead list, newest first: id, topic, key, age and the masked error."""
    return await db.fetch(
        "SELECT id, topic, key, attempts, error, created_ms FROM kernel_outbox WHERE state = 2 AND id < ? "
        "ORDER BY id DESC LIMIT ?",
        before_id or 2**62,
        limit,
    )


async def revive(row_id: int) -> bool:
    """An operator's decision: a dead row is tried again from the start."""
    now = clock.now_ms()
    changed = await db.execute(
        "UPDATE kernel_outbox SET state = 0, run_at = ?, attempts = 0, crashes = 0, lease = NULL, created_ms = ? "
        "WHERE id = ? AND state = 2",
        now,
        now,
        row_id,
    )
    return changed == 1


async def backlog() -> list[dict[str, Any]]:
    """Ready rows and the age of the oldest per topic, for metrics and for people."""
    return await db.fetch(
        "SELECT topic, COUNT(*) AS ready, MIN(created_ms) AS oldest_ms FROM kernel_outbox WHERE state = 0 GROUP BY topic"
    )


async def sweep(*, older_than_ms: int, limit: int = 1000) -> int:
    """Deletes done rows past their retention in one bounded batch."""
    return await db.execute(
        "DELETE FROM kernel_outbox WHERE id IN (SELECT id FROM kernel_outbox WHERE state = 1 AND done_ms < ? LIMIT ?)",
        older_than_ms,
        limit,
    )
