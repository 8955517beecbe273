"""The usual payment notice on PostgreSQL: one statement stores it and settles it (decision 0013). All else is for inbox and worker.

Usual is an open bill whose whole rest is paid by the one attempt that waits for exactly this money. What is said here is only
ever yes: whatever differs, has moved since it was looked at, or waits in front in the lane of the payment is left to
`settlement.apply_evidence`, which decides under locks as it always does on SQLite.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog

from kernel import db, inbox, rows, together
from kernel.looking import NeedsTransaction
from payments import evidence_rows, ledger, runtime, settlement, transitions
from payments.gateways.base import Evidence, Outcome, PaymentGateway, VerifiedNotice, describe
from payments.models import Attempt, Bill, EvidenceRow, LedgerAccount, LedgerTxn
from payments.settlement import Effect
from payments.states import ACTIVE, CHANNEL, AttemptAction, BillAction, BillState

log = structlog.get_logger(__name__)

_THE_BILL = "id = (SELECT bill_id FROM payments_attempt WHERE payment_no = ?)"
_THE_DEBT = (
    "code = (SELECT 'bill:' || b.bill_no || ':due' FROM payments_bill b JOIN payments_attempt a ON a.bill_id = b.id "
    "WHERE a.payment_no = ?)"
)
_BESIDE = (
    f"SELECT nextval('{EvidenceRow._meta.db_table}_id_seq') AS evidence, nextval('{LedgerTxn._meta.db_table}_id_seq') AS txn, "
    "(SELECT id FROM payments_ledger_account WHERE code = ?) AS receivable, "
    "EXISTS (SELECT 1 FROM kernel_inbox WHERE partner = ? AND external_id = ?) AS copy"
)
_OTHERS = (
    "SELECT 1 FROM payments_attempt WHERE bill_id = ? AND id <> ? "
    f"AND state IN ({', '.join(repr(str(state)) for state in ACTIVE)})"
)


class Taken(StrEnum):
    """What became of a notice here."""

    SETTLED = "settled"
    COPY = "copy"  # it is stored already
    NOT_HERE = "not here"


@dataclass(frozen=True)
class _Look:
    """What one SELECT found. `evidence_id` and `txn_id` are numbers for the rows to come."""

    bill: Bill
    attempt: Attempt
    debt: LedgerAccount
    evidence_id: int
    txn_id: int
    receivable_id: int


async def take(
    gateway: PaymentGateway, notice: VerifiedNotice, *, headers: Mapping[str, str], body: bytes, lane: str | None
) -> Taken:
    """Stores and settles a verified notice, or leaves everything as it was. Never raises for what only the transaction can do."""
    evidence = notice.evidence
    if evidence is None or lane is None or not _could_be_usual(gateway, evidence):
        return Taken.NOT_HERE
    try:
        with together.one_statement() as statement:
            if await _gathered(gateway.partner, notice.event_id, evidence, lane) is Taken.COPY:
                return Taken.COPY
        await statement.send(
            inbox.handled(
                partner=gateway.partner,
                external_id=notice.event_id,
                headers=headers,
                body=body,
                note=str(Effect.SETTLED),
            )
        )
    except NeedsTransaction:
        return Taken.NOT_HERE
    except Exception:
        # A bug or an outage in here must not keep a proven notice out of the inbox: storing it is tried in any case.
        log.exception("payments.not_at_once", **describe(evidence))
        return Taken.NOT_HERE
    log.info("payments.evidence", effect=str(Effect.SETTLED), **describe(evidence))
    return Taken.SETTLED


def _could_be_usual(gateway: PaymentGateway, evidence: Evidence) -> bool:
    return (
        db.engine() == "postgres"
        and evidence.outcome is Outcome.PAID
        and evidence.channel_txn_id is not None
        and evidence.code is None
        and runtime.receipt_port(evidence.channel) is None
        and gateway.is_ours(evidence)
    )


async def _gathered(partner: str, event_id: str, evidence: Evidence, lane: str) -> Taken:
    """Looks, and gathers what `settlement` would write for a usual payment, in its order. Raises NeedsTransaction."""
    look = await _looked(partner, event_id, evidence)
    if look is None:
        return Taken.COPY
    bill, attempt = look.bill, look.attempt
    if not _usual(look, evidence):
        raise NeedsTransaction
    # An earlier message about this payment keeps its place, and another open attempt must be closed at its channel.
    await rows.exists("SELECT 1 FROM kernel_outbox WHERE lane = ? AND state = 0", lane)
    await rows.exists(_OTHERS, bill.id, attempt.id)
    when = evidence.occurred_at or evidence.observed_at
    await evidence_rows.gather(look.evidence_id, evidence, attempt, str(Effect.SETTLED))
    await ledger.gather(
        settlement.payment_posting(bill, attempt, evidence, applied=attempt.amount_fen),
        txn_id=look.txn_id,
        ids={ledger.channel_receivable(attempt.channel).code: look.receivable_id, look.debt.code: look.debt.id},
        bounded={look.debt.code: look.debt},
    )
    attempt.channel_txn_id, attempt.paid_at, attempt.last_error = evidence.channel_txn_id, when, None
    await transitions.step_attempt(attempt, AttemptAction.PAID, by=CHANNEL, evidence_id=look.evidence_id)
    await transitions.step_bill(bill, BillAction.PAY_FULL, by=CHANNEL, evidence_id=look.evidence_id)
    return Taken.SETTLED


async def _looked(partner: str, event_id: str, evidence: Evidence) -> _Look | None:
    """None for a copy of a stored notice. Locked later in this order: bill, attempt, account."""
    number = evidence.payment_no
    bill, attempt, debt, (evidence_id, txn_id, receivable_id, copy) = await rows.four(
        rows.where(Bill, _THE_BILL, number),
        rows.locking(Attempt, payment_no=number),
        rows.where(LedgerAccount, _THE_DEBT, number),
        rows.Read(
            _BESIDE, (ledger.channel_receivable(evidence.channel).code, partner, event_id), lambda found: found[0]
        ),
    )
    if copy:
        return None
    if bill is None or attempt is None or debt is None or receivable_id is None:
        raise NeedsTransaction
    return _Look(bill, attempt, debt, evidence_id, txn_id, receivable_id)


def _usual(look: _Look, evidence: Evidence) -> bool:
    bill, attempt = look.bill, look.attempt
    return (
        attempt.channel == evidence.channel
        and attempt.state in ACTIVE
        and not attempt.review_required
        and settlement.mismatch(attempt, evidence) is None
        and bill.state == BillState.OPEN
        and bill.void_reason is None
        and bill.due_fen >= attempt.amount_fen == look.debt.balance_fen
    )
