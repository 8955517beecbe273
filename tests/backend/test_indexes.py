"""Statements that run every minute or for every payment find their rows by an index, however many rows there are."""

import pytest

from kernel import db

# Name → table and statement, as the code sends it. The values are of the right type and find nothing.
STATEMENTS = {
    "a paid courier bill finds its parcel": (
        "delivery_parcel",
        "SELECT id FROM delivery_parcel WHERE bill_no = 'B'",
    ),
    "the window finds a parcel by its waybill": (
        "delivery_parcel",
        "SELECT id FROM delivery_parcel WHERE waybill_no = 'W'",
    ),
    "sealed refresh answers are forgotten": (
        "identity_refresh_replay",
        "UPDATE identity_refresh_replay SET answer_sealed = NULL "
        "WHERE answer_sealed IS NOT NULL AND answer_until < '2026-01-01 00:00:00+00:00'",
    ),
    "corrections that are due": (
        "cases_correction",
        "SELECT id FROM cases_correction WHERE state = 'open' AND deadline_at < '2026-01-01 00:00:00+00:00' "
        "ORDER BY deadline_at LIMIT 100",
    ),
    "bodies that arrived are forgotten": (
        "onewindow_forwarding",
        "SELECT id FROM onewindow_forwarding WHERE state = 'acknowledged' AND body_sealed IS NOT NULL "
        "AND settled_at < '2026-01-01 00:00:00+00:00' ORDER BY settled_at LIMIT 1000",
    ),
    "old calls are forgotten": (
        "onewindow_call",
        "SELECT id FROM onewindow_call WHERE created_at < '2026-01-01 00:00:00+00:00' ORDER BY created_at LIMIT 1000",
    ),
    "attempts that are due": (
        "payments_attempt",
        "SELECT id FROM payments_attempt WHERE next_check_at <= '2026-01-01 00:00:00+00:00' "
        "ORDER BY next_check_at, id LIMIT 8",
    ),
    "a day's payments": (
        "payments_attempt",
        "SELECT id, payment_no FROM payments_attempt WHERE channel = 'wechat' AND paid_at >= '2026-01-01 00:00:00+00:00' "
        "AND paid_at < '2026-01-02 00:00:00+00:00' AND (paid_at, id) > ('2026-01-01 00:00:00+00:00', 0) "
        "ORDER BY paid_at, id LIMIT 2000",
    ),
    "a day's refunds": (
        "payments_refund",
        "SELECT id FROM payments_refund WHERE channel = 'wechat' AND sent_at >= '2026-01-01 00:00:00+00:00' "
        "AND sent_at < '2026-01-02 00:00:00+00:00' AND (sent_at, id) > ('2026-01-01 00:00:00+00:00', 0) "
        "ORDER BY sent_at, id LIMIT 2000",
    ),
    "bills that are due": (
        "payments_bill",
        "SELECT id FROM payments_bill WHERE state = 'open' AND expires_at <= '2026-01-01 00:00:00+00:00' "
        "ORDER BY expires_at, id LIMIT 100",
    ),
    "bills of a case": ("payments_bill", "SELECT id FROM payments_bill WHERE subject = 'case:1' ORDER BY id"),
    "a person's bills": (
        "payments_bill",
        "SELECT id FROM payments_bill WHERE owner_ref = 'a' AND id < 9 ORDER BY id DESC LIMIT 21",
    ),
    "a person's messages": (
        "notifications_message",
        "SELECT id FROM notifications_message WHERE recipient_ref = 'a' ORDER BY id DESC LIMIT 21",
    ),
    "parcels to ask about": (
        "delivery_parcel",
        "SELECT id FROM delivery_parcel WHERE poll_at <= '2026-01-01 00:00:00+00:00' ORDER BY poll_at, id LIMIT 100",
    ),
}


@pytest.mark.parametrize("name", STATEMENTS)
async def test_no_frequent_statement_reads_a_whole_table(database, name) -> None:
    table, statement = STATEMENTS[name]
    if db.engine() == "postgres":
        async with db.transaction():
            await db.execute("SET LOCAL enable_seqscan = off")  # an empty table would always be read whole
            # What an earlier test's rows looked like must not guide this plan.
            await db.execute(f"DELETE FROM pg_statistic WHERE starelid = '{table}'::regclass")
            plan = [row["QUERY PLAN"] for row in await db.fetch(f"EXPLAIN {statement}")]
        text = "\n".join(plan)
        assert f"Seq Scan on {table}" not in text, text
        # A primary key read from its start is a whole table in disguise, and so is an index of everything that is over.
        assert "pkey" not in text, text
        assert "Filter:" not in text, text
        return
    plan = [row["detail"] for row in await db.fetch(f"EXPLAIN QUERY PLAN {statement}")]
    assert all(step.startswith(f"SEARCH {table}") and "INTEGER PRIMARY KEY" not in step for step in plan), plan
