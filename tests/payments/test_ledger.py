"""Postings happen once, add up, and are never changed: held by the code and, behind its back, by the database."""

import pytest

import payments
from kernel import clock, db
from payments import guards, invariants, ledger
from payments.ledger import Entry, LedgerError
from tests.payments.conftest import ledger_rows


async def post(key: str, *entries: Entry) -> bool:
    async with db.transaction():
        return await ledger.post(kind="test", dedupe_key=key, occurred_at=clock.now(), entries=entries)


def sides(amount: int) -> tuple[Entry, Entry]:
    return Entry(ledger.bill_due("B1"), amount), Entry(ledger.unit_income("U1"), -amount)


async def test_a_posting_happens_once_per_key(books):
    assert await post("k1", *sides(1000))
    assert not await post("k1", *sides(1000))
    assert await ledger_rows() == [("k1", "bill:B1:due", 1000), ("k1", "unit:U1:income", -1000)]
    assert await ledger.balance(ledger.bill_due("B1")) == 1000
    assert await ledger.turnover(ledger.unit_income("U1")) == 1000
    # The rows above belong to no bill; take them back the only way there is.
    assert await post("k2", *sides(-1000))


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [Entry(ledger.bill_due("B1"), 5)],
        [Entry(ledger.bill_due("B1"), 5), Entry(ledger.unit_income("U1"), -4)],
        [Entry(ledger.bill_due("B1"), 0), Entry(ledger.unit_income("U1"), 0)],
        [Entry(ledger.bill_due("B1"), True), Entry(ledger.unit_income("U1"), -1)],
        [Entry(ledger.bill_due("B1"), 10**12), Entry(ledger.unit_income("U1"), -(10**12))],
    ],
)
async def test_a_posting_that_must_not_exist_is_refused(books, entries):
    with pytest.raises(LedgerError):
        await post("k1", *entries)
    assert await ledger_rows() == []


async def test_a_bounded_account_never_falls_below_zero_and_nothing_stays_behind(books):
    with pytest.raises(LedgerError):
        await post("k1", *sides(-1))
    assert await ledger_rows() == []


async def test_a_posting_belongs_into_a_transaction(books):
    with pytest.raises(LedgerError):
        await ledger.post(kind="test", dedupe_key="k", occurred_at=clock.now(), entries=sides(1))


@pytest.mark.parametrize("table", ["payments_ledger_txn", "payments_ledger_entry", "payments_event"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET created_at = created_at"])
async def test_the_database_refuses_to_change_what_is_written(books, table, statement):
    await books.issue()
    before = await ledger_rows()
    with pytest.raises(Exception, match="append only"):
        await db.execute(statement.format(table))
    assert await ledger_rows() == before


async def test_the_database_refuses_amounts_of_the_wrong_sign(books):
    bill_no = await books.issue()
    for statement in (
        "UPDATE payments_bill SET gross_fen = 0, due_fen = 0",
        "UPDATE payments_bill SET waived_fen = 1",
        "UPDATE payments_ledger_account SET balance_fen = -1",
        "UPDATE payments_bill_line SET amount_fen = 1",
    ):
        with pytest.raises(Exception, match="amounts"):
            await db.execute(statement)
    assert (await books.bill(bill_no)).due_fen == 1000


async def test_the_checker_sees_what_was_done_behind_the_codes_back(books):
    bill_no = await books.issue()
    await db.execute("UPDATE payments_bill SET state = 'paid'")
    await db.execute("UPDATE payments_ledger_account SET balance_fen = 999 WHERE bounded")
    found = (await payments.ledger_check()).violations
    assert f"stored balance differs from the entries: bill:{bill_no}:due" in found
    assert f"stored state of a bill differs from its ledger: {bill_no}" in found
    await db.execute("UPDATE payments_bill SET state = 'open'")
    await db.execute("UPDATE payments_ledger_account SET balance_fen = 1000 WHERE bounded")


async def test_a_lost_guard_is_noticed(books):
    assert await invariants.missing_guards() == []
    on = " ON payments_ledger_txn" if db.engine() == "postgres" else ""
    await db.execute(f"DROP TRIGGER payments_ledger_txn_no_delete{on}")
    assert await invariants.missing_guards() == ["payments_ledger_txn_no_delete"]
    for statement in guards.statements(db.engine()):
        if "payments_ledger_txn_no_delete" in statement and "DROP" not in statement:
            await db.execute(statement)


async def test_an_unbalanced_transaction_written_past_the_code(books):
    """PostgreSQL refuses it at commit; on SQLite, which has no deferred constraints, the checker finds it."""
    bill_no = await books.issue()
    sql = (
        "INSERT INTO payments_ledger_entry (txn_id, account_id, amount_fen, created_at) "
        "SELECT t.id, a.id, {}, t.created_at FROM payments_ledger_txn t, payments_ledger_account a WHERE a.code = 'unit:' || ? || ':income'"
    )
    unit = (await books.bill(bill_no)).unit_code
    if db.engine() == "postgres":
        with pytest.raises(Exception, match="add up"):
            await db.execute(sql.format(7), unit)
        return
    await db.execute(sql.format(7), unit)
    assert any("add up to zero" in v for v in (await payments.ledger_check()).violations)
    await db.execute(sql.format(-7), unit)
