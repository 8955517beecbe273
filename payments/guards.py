"""Triggers that hold whatever the code does: the ledger only grows, amounts have the right sign, postings add up (PostgreSQL).

Created by a migration, statement by statement, because the SQLite editor of the ORM splits scripts at every semicolon.
"""

from typing import Any

_APPEND_ONLY = ("payments_ledger_txn", "payments_ledger_entry", "payments_event", "payments_evidence")

# Table → condition that every row must fulfil. PostgreSQL gets CHECK constraints, SQLite triggers (it cannot add constraints).
# A migration installs what it was written for: rules of tables that came later are a set of their own.
_FIRST_CHECKS = {
    "payments_fee_item": "price_fen > 0 AND max_quantity > 0",
    "payments_bill": "gross_fen > 0 AND waived_fen >= 0 AND waived_fen <= gross_fen AND due_fen = gross_fen - waived_fen",
    "payments_bill_line": "price_fen > 0 AND quantity > 0 AND amount_fen = price_fen * quantity",
    "payments_attempt": "amount_fen > 0",
    "payments_ledger_account": "balance_fen >= 0",
    "payments_ledger_entry": "amount_fen <> 0",
}
_REFUND_CHECKS = {"payments_refund": "amount_fen > 0"}
_CHECKS = _FIRST_CHECKS | _REFUND_CHECKS
# The table of money owed back became the table of refunds; its guard went with it.
_GONE_CHECKS = {"payments_refund_due": "amount_fen > 0"}


def names(engine: str) -> set[str]:
    """The triggers a sound database of this engine has."""
    found = {f"{table}_no_{verb}" for table in _APPEND_ONLY for verb in ("update", "delete")}
    if engine == "sqlite":
        return found | {f"{table}_check_{verb}" for table in _CHECKS for verb in ("insert", "update")}
    return found | {"payments_ledger_entry_sum"}


def statements(engine: str) -> list[str]:
    """Everything a sound database has, one statement each."""
    return _sqlite() + _sqlite_checks(_CHECKS) if engine == "sqlite" else _postgres() + _postgres_checks(_CHECKS)


async def install(apps: Any, editor: Any) -> None:
    """The first migration's forward step."""
    checks = _FIRST_CHECKS | _GONE_CHECKS
    await _run(editor, sqlite=_sqlite() + _sqlite_checks(checks), postgres=_postgres() + _postgres_checks(checks))


async def install_refunds(apps: Any, editor: Any) -> None:
    """The forward step of the migration that brought refunds."""
    await _run(editor, sqlite=_sqlite_checks(_REFUND_CHECKS), postgres=_postgres_checks(_REFUND_CHECKS))


async def _run(editor: Any, *, sqlite: list[str], postgres: list[str]) -> None:
    for statement in sqlite if editor.client.capabilities.dialect == "sqlite" else postgres:
        await editor.client.execute_query(statement)


async def remove(apps: Any, editor: Any) -> None:
    """The migration's backward step."""
    if editor.client.capabilities.dialect == "sqlite":
        for name in sorted(names("sqlite")):
            await editor.client.execute_query(f"DROP TRIGGER IF EXISTS {name}")
        return
    for name in sorted(names("postgres")):
        table = name.rsplit("_no_", 1)[0].removesuffix("_sum")
        await editor.client.execute_query(f"DROP TRIGGER IF EXISTS {name} ON {table}")
    for table in _CHECKS:
        await editor.client.execute_query(f"ALTER TABLE IF EXISTS {table} DROP CONSTRAINT IF EXISTS {table}_amounts")
    await editor.client.execute_query("DROP FUNCTION IF EXISTS payments_refuse_change()")
    await editor.client.execute_query("DROP FUNCTION IF EXISTS payments_txn_sum()")


def _sqlite() -> list[str]:
    return [
        f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb} BEFORE {verb.upper()} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append only'); END"
        for table in _APPEND_ONLY
        for verb in ("update", "delete")
    ]


def _sqlite_checks(checks: dict[str, str]) -> list[str]:
    found = []
    for table, condition in checks.items():
        for verb in ("insert", "update"):
            check = " ".join(
                f"NEW.{word}" if word.endswith(("_fen", "quantity")) else word for word in condition.split()
            )
            found.append(
                f"CREATE TRIGGER IF NOT EXISTS {table}_check_{verb} BEFORE {verb.upper()} ON {table} "
                f"WHEN NOT ({check}) BEGIN SELECT RAISE(ABORT, '{table} refuses these amounts'); END"
            )
    return found


def _postgres() -> list[str]:
    refuse = (
        "CREATE OR REPLACE FUNCTION payments_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION '% is append only', TG_TABLE_NAME; END $$"
    )
    total = (
        "CREATE OR REPLACE FUNCTION payments_txn_sum() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF (SELECT SUM(amount_fen) FROM payments_ledger_entry WHERE txn_id = NEW.txn_id) <> 0 THEN "
        "RAISE EXCEPTION 'ledger transaction % does not add up', NEW.txn_id; END IF; RETURN NULL; END $$"
    )
    found = [refuse, total]
    for table in _APPEND_ONLY:
        for verb in ("update", "delete"):
            found.append(f"DROP TRIGGER IF EXISTS {table}_no_{verb} ON {table}")
            found.append(
                f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb.upper()} ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION payments_refuse_change()"
            )
    found.append("DROP TRIGGER IF EXISTS payments_ledger_entry_sum ON payments_ledger_entry")
    found.append(
        "CREATE CONSTRAINT TRIGGER payments_ledger_entry_sum AFTER INSERT ON payments_ledger_entry "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_txn_sum()"
    )
    return found


def _postgres_checks(checks: dict[str, str]) -> list[str]:
    return [f"ALTER TABLE {table} ADD CONSTRAINT {table}_amounts CHECK ({rule})" for table, rule in checks.items()]
