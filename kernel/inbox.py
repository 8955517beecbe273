"""Messages from partners: verified by the caller, stored once, acknowledged, and only then handled by the worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from kernel import clock, crypto, db, outbox
from kernel.models import InboxRow


@dataclass(frozen=True)
class Message:
    """A stored message as its handler sees it."""

    id: int
    partner: str
    external_id: str
    headers: dict[str, str]
    body: bytes
    received_at: datetime


async def receive(
    *, partner: str, external_id: str, headers: Mapping[str, str], body: bytes, lane: str | None = None
) -> bool:
    """Stores a verified message and promises to handle it, in one transaction. False for a copy, which changes nothing.

    `external_id` is the partner's own id of the message (at most 128 characters). The topic that handles it is "inbox.<partner>".
    """
    async with db.transaction():
        rows = await db.fetch(
            "INSERT INTO kernel_inbox (partner, external_id, headers, body, created_at) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (partner, external_id) DO NOTHING RETURNING id",
            partner,
            external_id,
            _json(headers),
            crypto.seal(body, context=_context(partner, external_id)),
            db.at(clock.now()),
        )
        if not rows:
            return False
        await outbox.publish(
            f"inbox.{partner}", key=f"inbox:{partner}:{rows[0]['id']}", payload={"inbox_id": rows[0]["id"]}, lane=lane
        )
        return True


def handled(
    *, partner: str, external_id: str, headers: Mapping[str, str], body: bytes, note: str
) -> tuple[str, tuple[Any, ...]]:
    """The claim (`together.one_statement`) of a message that is stored together with its effect: nothing is left to the worker."""
    sql = (
        "INSERT INTO kernel_inbox (partner, external_id, headers, body, created_at, handled_at, note) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (partner, external_id) DO NOTHING RETURNING 1"
    )
    now, sealed = db.at(clock.now()), crypto.seal(body, context=_context(partner, external_id))
    return sql, (partner, external_id, _json(headers), sealed, now, now, note[:200])


async def load(inbox_id: int) -> Message:
    """The message behind an "inbox.<partner>" row."""
    row = await InboxRow.get(id=inbox_id)
    body = crypto.unseal(row.body, context=_context(row.partner, row.external_id))
    return Message(row.id, row.partner, row.external_id, dict(row.headers), body, row.created_at)


async def mark_handled(inbox_id: int, note: str) -> None:
    """Records the outcome; call it in the transaction that made the effect."""
    await db.execute(
        "UPDATE kernel_inbox SET handled_at = ?, note = ? WHERE id = ?", db.at(clock.now()), note[:200], inbox_id
    )


async def remember_nonce(partner: str, nonce: str) -> bool:
    """Whether this nonce is new for the partner; a repeated one means a replay."""
    rows = await db.fetch(
        "INSERT INTO kernel_nonce (partner, nonce, seen_ms) VALUES (?, ?, ?) "
        "ON CONFLICT (partner, nonce) DO NOTHING RETURNING id",
        partner,
        nonce,
        clock.now_ms(),
    )
    return bool(rows)


async def sweep_nonces(*, older_than_ms: int, limit: int = 1000) -> int:
    """Forgets nonces whose window has passed, in one bounded batch."""
    return await db.execute(
        "DELETE FROM kernel_nonce WHERE id IN (SELECT id FROM kernel_nonce WHERE seen_ms < ? LIMIT ?)",
        older_than_ms,
        limit,
    )


def _context(partner: str, external_id: str) -> str:
    return f"kernel_inbox.body:{partner}:{external_id}"


def _json(headers: Mapping[str, str]) -> str:
    return msgspec.json.encode(dict(headers)).decode()
