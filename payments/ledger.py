"""Double-entry postings: accounts, `post`, balances. Entries are only ever added; who posts what is decided by bills and settlement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from kernel import clock, db, together
from payments.models import LedgerAccount
from payments.money import CURRENCY, MAX_FEN

# The side on which an account naturally stands: assets and expenses by debits (+), the others by credits (−).
_SIDE = {"asset": 1, "expense": 1, "liability": -1, "income": -1}


class LedgerError(Exception):
    """A posting that must not exist: unbalanced, out of range, or driving a bounded account below zero. Always a bug."""


@dataclass(frozen=True)
class Account:
    """Names an account; it is opened by its first posting. `bounded` accounts keep a balance that never falls below zero."""

    code: str
    kind: str
    unit_code: str | None = None
    bounded: bool = False


@dataclass(frozen=True)
class Entry:
    """One side of a posting: debit positive, credit negative, in fen."""

    account: Account
    amount_fen: int


@dataclass(frozen=True, kw_only=True)
class Posting:
    """One balanced transaction to come: what it is, under which key it happens once, and its sides."""

    kind: str
    dedupe_key: str
    occurred_at: datetime
    entries: Sequence[Entry]
    bill_no: str | None = None
    payment_no: str | None = None


def channel_receivable(channel: str) -> Account:
    """What the channel holds for us until it settles."""
    return Account(f"channel:{channel}:receivable", "asset")


def bill_due(bill_no: str) -> Account:
    """The payer's debt of one bill."""
    return Account(f"bill:{bill_no}:due", "asset", bounded=True)


def unit_income(unit_code: str) -> Account:
    """What a collecting unit has earned, accrued when the bill is published."""
    return Account(f"unit:{unit_code}:income", "income", unit_code)


def surplus(payment_no: str) -> Account:
    """Money of one attempt that belongs to no open bill and is owed back."""
    return Account(f"surplus:{payment_no}", "liability", bounded=True)


def refund_reserved() -> Account:
    """Money set aside for refunds that were approved and are not over. Unbounded: every refund of the county posts here."""
    return Account("refund:reserved", "liability")


def suspense(channel: str) -> Account:
    """Verified money that nobody could assign yet."""
    return Account(f"suspense:{channel}", "liability")


def bank(unit_code: str) -> Account:
    """A unit's bank account: what channels settled to it, less refunds it paid by hand."""
    return Account(f"bank:{unit_code}", "asset", unit_code)


def channel_fees() -> Account:
    """What the channels keep for their service."""
    return Account("channel:fees", "expense")


async def post(
    *,
    kind: str,
    dedupe_key: str,
    occurred_at: datetime,
    entries: Sequence[Entry],
    bill_no: str | None = None,
    payment_no: str | None = None,
    refund_no: str | None = None,
) -> bool:
    """Writes one balanced transaction inside the caller's database transaction.

    False when the dedupe key was already posted: then nothing is written. Raises LedgerError for a posting that must not exist.
    """
    if not db.in_transaction():
        raise LedgerError("a posting belongs to the transaction of its fact")
    _check(entries)
    rows = await db.fetch(
        "INSERT INTO payments_ledger_txn (kind, dedupe_key, bill_no, payment_no, refund_no, occurred_at, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (dedupe_key) DO NOTHING RETURNING id",
        kind, dedupe_key, bill_no, payment_no, refund_no, db.at(occurred_at), db.at(clock.now()),
    )  # fmt: skip
    if not rows:
        return False
    ids = await _account_ids([entry.account for entry in entries])
    now = db.at(clock.now())
    values = ", ".join("(?, ?, ?, ?)" for _ in entries)
    params = [v for e in entries for v in (rows[0]["id"], ids[e.account.code], e.amount_fen, now)]
    await db.execute(
        f"INSERT INTO payments_ledger_entry (txn_id, account_id, amount_fen, created_at) VALUES {values}", *params
    )
    # Accounts are locked in the order of their codes, everywhere, so two postings never wait for each other in a ring.
    for entry in sorted((e for e in entries if e.account.bounded), key=lambda e: e.account.code):
        change = entry.amount_fen * _SIDE[entry.account.kind]
        done = await db.execute(
            "UPDATE payments_ledger_account SET balance_fen = balance_fen + ? WHERE id = ? AND balance_fen + ? >= 0",
            change, ids[entry.account.code], change,
        )  # fmt: skip
        if done != 1:
            raise LedgerError(f"{entry.account.code} would fall below zero")
    return True


async def post_one(posting: Posting) -> bool:
    """`post` of a posting that was prepared."""
    return await post(
        kind=posting.kind, dedupe_key=posting.dedupe_key, occurred_at=posting.occurred_at, entries=posting.entries,
        bill_no=posting.bill_no, payment_no=posting.payment_no,
    )  # fmt: skip


async def gather(
    posting: Posting, *, txn_id: int, ids: Mapping[str, int], bounded: Mapping[str, LedgerAccount]
) -> None:
    """`post` for a command of one statement, which has looked up a number for the transaction and its accounts by code.

    `bounded` holds the rows whose balance changes: should one of them, or the dedupe key, have been used since, the statement
    stores nothing. Raises LedgerError for a posting that must not exist.
    """
    if db.view() is None:
        raise LedgerError("a gathered posting belongs to a command that only looks")
    _check(posting.entries)
    now = db.at(clock.now())
    await together.write(
        "INSERT INTO payments_ledger_txn (id, kind, dedupe_key, bill_no, payment_no, occurred_at, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        txn_id, posting.kind, posting.dedupe_key, posting.bill_no, posting.payment_no, db.at(posting.occurred_at), now,
    )  # fmt: skip
    for entry in posting.entries:
        await together.write(
            "INSERT INTO payments_ledger_entry (txn_id, account_id, amount_fen, created_at) VALUES (?, ?, ?, ?)",
            txn_id, ids[entry.account.code], entry.amount_fen, now,
        )  # fmt: skip
    for entry in sorted((e for e in posting.entries if e.account.bounded), key=lambda e: e.account.code):
        row = bounded[entry.account.code]
        row.balance_fen += entry.amount_fen * _SIDE[entry.account.kind]
        if row.balance_fen < 0:
            raise LedgerError(f"{entry.account.code} would fall below zero")
        await together.save(row)


async def balance(account: Account) -> int:
    """The stored balance of a bounded account on its natural side, in fen; 0 when it was never used."""
    rows = await db.fetch("SELECT balance_fen FROM payments_ledger_account WHERE code = ?", account.code)
    return int(rows[0]["balance_fen"]) if rows else 0


async def turnover(account: Account) -> int:
    """The balance of any account, summed from its entries, on its natural side. For screens and checks, not for hot paths."""
    rows = await db.fetch(
        "SELECT COALESCE(SUM(e.amount_fen), 0) AS total FROM payments_ledger_entry e "
        "JOIN payments_ledger_account a ON a.id = e.account_id WHERE a.code = ?",
        account.code,
    )
    return int(rows[0]["total"]) * _SIDE[account.kind]


def _check(entries: Sequence[Entry]) -> None:
    if len(entries) < 2:
        raise LedgerError("a posting has at least two sides")
    for entry in entries:
        if type(entry.amount_fen) is not int or not 0 < abs(entry.amount_fen) <= MAX_FEN:
            raise LedgerError("an entry is a non-zero int of fen")
    if sum(entry.amount_fen for entry in entries) != 0:
        raise LedgerError("debits and credits differ")


async def _account_ids(accounts: Sequence[Account]) -> dict[str, int]:
    wanted = {account.code: account for account in accounts}
    found = await _known(list(wanted))
    missing = sorted(set(wanted) - set(found))
    for code in missing:
        account = wanted[code]
        # Another process may open the same account at this moment: then its row is read below.
        await db.execute(
            "INSERT INTO payments_ledger_account (code, kind, unit_code, currency, bounded, balance_fen, created_at) "
            "VALUES (?, ?, ?, ?, ?, 0, ?) ON CONFLICT (code) DO NOTHING",
            code, account.kind, account.unit_code, CURRENCY, account.bounded, db.at(clock.now()),
        )  # fmt: skip
    return await _known(list(wanted)) if missing else found


async def _known(codes: list[str]) -> dict[str, int]:
    marks = ", ".join("?" for _ in codes)
    rows = await db.fetch(f"SELECT id, code FROM payments_ledger_account WHERE code IN ({marks})", *codes)
    return {row["code"]: int(row["id"]) for row in rows}
