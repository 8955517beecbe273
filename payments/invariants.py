"""Proof that the books agree with themselves: run after every test scenario, nightly, and by the command line. Repairs nothing."""

import msgspec

from kernel import db
from payments import guards, states, transitions
from payments.models import Attempt, Bill
from payments.refund_invariants import RULES
from payments.states import ACTIVE, SETTLED, BillState

_SIDE = "CASE WHEN a.kind IN ('asset', 'expense') THEN 1 ELSE -1 END"

# Each statement answers the rows that break one rule; the first column says which object.
_RULES: tuple[tuple[str, str], ...] = (
    (
        "entries of a transaction do not add up to zero",
        "SELECT t.dedupe_key AS what FROM payments_ledger_txn t LEFT JOIN payments_ledger_entry e ON e.txn_id = t.id "
        "GROUP BY t.id, t.dedupe_key HAVING COALESCE(SUM(e.amount_fen), 1) <> 0 OR COUNT(e.id) < 2",
    ),
    (
        "stored balance differs from the entries",
        f"SELECT a.code AS what FROM payments_ledger_account a LEFT JOIN payments_ledger_entry e ON e.account_id = a.id "
        f"WHERE a.bounded GROUP BY a.id, a.code, a.kind, a.balance_fen "
        f"HAVING a.balance_fen <> COALESCE(SUM(e.amount_fen), 0) * {_SIDE}",
    ),
    (
        "a bounded account is below zero",
        "SELECT a.code AS what FROM payments_ledger_account a WHERE a.bounded AND a.balance_fen < 0",
    ),
    (
        "a bill owes more than its gross less what was waived",
        "SELECT b.bill_no AS what FROM payments_bill b JOIN payments_ledger_account a ON a.code = 'bill:' || b.bill_no || ':due' "
        "WHERE a.balance_fen > b.gross_fen - b.waived_fen OR b.due_fen <> b.gross_fen - b.waived_fen",
    ),
    (
        "lines of a bill do not add up to its gross",
        "SELECT b.bill_no AS what FROM payments_bill b LEFT JOIN payments_bill_line l ON l.bill_id = b.id "
        "GROUP BY b.id, b.bill_no, b.gross_fen HAVING b.gross_fen <> COALESCE(SUM(l.amount_fen), 0)",
    ),
    (
        "a paid attempt has no posting of its amount, or an unpaid one has one",
        "SELECT p.payment_no AS what FROM payments_attempt p LEFT JOIN payments_ledger_txn t "
        "ON t.payment_no = p.payment_no AND t.kind IN ('pay', 'explain') LEFT JOIN payments_ledger_entry e ON e.txn_id = t.id AND e.amount_fen > 0 "
        "GROUP BY p.id, p.payment_no, p.state, p.amount_fen HAVING "
        "(p.state IN ({settled}) AND COALESCE(SUM(e.amount_fen), 0) <> p.amount_fen) "
        "OR (p.state NOT IN ({settled}) AND COUNT(t.id) > 0)",
    ),
    (
        "more than one settlement of one transaction of the channel",
        "SELECT channel || ':' || channel_txn_id AS what FROM payments_attempt WHERE channel_txn_id IS NOT NULL "
        "GROUP BY channel, channel_txn_id HAVING COUNT(*) > 1",
    ),
    (
        "an attempt's slot does not match its state",
        "SELECT payment_no AS what FROM payments_attempt WHERE (state IN ({active}) AND active_slot IS NULL) "
        "OR (state NOT IN ({active}) AND active_slot IS NOT NULL)",
    ),
    (
        "an active attempt that nobody will ask about",
        "SELECT payment_no AS what FROM payments_attempt WHERE state IN ({active}) AND next_check_at IS NULL AND NOT review_required",
    ),
    (
        "events of an object are not numbered without gaps",
        "SELECT object_no AS what FROM payments_event GROUP BY object_no HAVING MAX(seq) <> COUNT(*) OR MIN(seq) <> 1",
    ),
)

_ALL_RULES = _RULES + RULES


class LedgerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the check found; empty violations mean the books agree."""

    violations: list[str]
    transactions: int
    total_fen: int
    guards: list[str]


async def ledger_check() -> LedgerReport:
    """Checks every invariant over all rows and whether the database still refuses to change the ledger."""
    found: list[str] = []
    for text, sql in _ALL_RULES:
        rows = await db.fetch(sql.replace("{settled}", _quoted(SETTLED)).replace("{active}", _quoted(ACTIVE)))
        found += [f"{text}: {row['what']}" for row in rows]
    found += await _states()
    missing = await missing_guards()
    found += [f"the database lost a guard of the ledger: {name}" for name in missing]
    totals = (await db.fetch("SELECT COUNT(*) AS n, COALESCE(SUM(amount_fen), 0) AS total FROM payments_ledger_entry"))[
        0
    ]
    transactions = (await db.fetch("SELECT COUNT(*) AS n FROM payments_ledger_txn"))[0]["n"]
    if totals["total"]:
        found.append(f"all entries together are {totals['total']}, not zero")
    return LedgerReport(
        violations=found, transactions=int(transactions), total_fen=int(totals["total"]), guards=await present_guards()
    )


async def _states() -> list[str]:
    """Stored state = state recomputed from the ledger, for every bill; no withdrawn or expired bill with an open attempt."""
    found: list[str] = []
    last = 0
    while True:
        page = await Bill.filter(id__gt=last).order_by("id").limit(500)
        if not page:
            return found
        last = page[-1].id
        for bill in page:
            if bill.state != states.derive_bill_state(await transitions.facts(bill)):
                found.append(f"stored state of a bill differs from its ledger: {bill.bill_no}")
            if bill.state in (BillState.WITHDRAWN, BillState.EXPIRED) and await _has_active(bill):
                found.append(f"a bill that is over has an open attempt: {bill.bill_no}")


async def _has_active(bill: Bill) -> bool:
    return await Attempt.filter(bill_id=bill.id, state__in=[str(s) for s in ACTIVE]).exists()


async def present_guards() -> list[str]:
    """Names of the triggers that keep the ledger append-only."""
    sql = (
        "SELECT name AS name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'payments_%' ORDER BY name"
        if db.engine() == "sqlite"
        else "SELECT DISTINCT tgname AS name FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE 'payments_%' ORDER BY tgname"
    )
    return [row["name"] for row in await db.fetch(sql)]


async def missing_guards() -> list[str]:
    """Guards that should be there and are not, for example after a table was rebuilt on SQLite."""
    return sorted(guards.names(db.engine()) - set(await present_guards()))


def _quoted(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)
