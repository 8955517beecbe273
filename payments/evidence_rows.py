"""Statements of channels written down: once each, by the transaction that applies them or by the one statement that settles."""

from typing import Any

from kernel import clock, db, together
from payments.gateways.base import Evidence
from payments.models import Attempt

_COLUMNS = (
    "attempt_id, channel, kind, source_id, payment_no, channel_txn_id, outcome, amount_fen, currency, occurred_at, observed_at, "
    "raw_ref, effect, created_at"
)


async def store(evidence: Evidence, attempt: Attempt | None, effect: str) -> int | None:
    """Its number, or None for a copy. The payer's id is compared but never stored."""
    rows = await db.fetch(
        f"INSERT INTO payments_evidence ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (channel, kind, source_id) DO NOTHING RETURNING id",
        *_values(evidence, attempt, effect),
    )
    return int(rows[0]["id"]) if rows else None


async def gather(number: int, evidence: Evidence, attempt: Attempt, effect: str) -> None:
    """`store` for a command of one statement, under a number it has looked up: for a copy the statement fails as a whole."""
    await together.write(
        f"INSERT INTO payments_evidence (id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        number,
        *_values(evidence, attempt, effect),
    )


def _values(evidence: Evidence, attempt: Attempt | None, effect: str) -> tuple[Any, ...]:
    return (
        attempt.id if attempt else None, evidence.channel, str(evidence.kind), evidence.source_id, evidence.payment_no,
        evidence.channel_txn_id, str(evidence.outcome), evidence.amount_fen, evidence.currency,
        db.at(evidence.occurred_at) if evidence.occurred_at else None, db.at(evidence.observed_at), evidence.raw_ref,
        effect, db.at(clock.now()),
    )  # fmt: skip
