"""Money owed back under the old table becomes refunds owed by rule: no row is lost, and the timer sends them."""

import importlib
from pathlib import Path

import pytest

from backend.wiring import APPS
from kernel import clock, db, migrate
from payments import migrations, refund_janitor
from payments.models import Refund
from tests.conftest import ENGINE, settings_for


@pytest.fixture
async def before(request, tmp_path, monkeypatch):
    """A database as the version before refunds left it, with three rows of money owed back."""
    if ENGINE == "sqlite":
        url = f"sqlite://{tmp_path / 'before.sqlite3'}"
    else:
        server = request.getfixturevalue("postgres")
        server.sql("postgres", "DROP DATABASE IF EXISTS before_refunds WITH (FORCE)")
        server.sql("postgres", "CREATE DATABASE before_refunds")
        url = server.url("before_refunds")
    later = [p.stem for p in Path(migrations.__file__).parent.glob("0*.py") if p.stem >= "0005"]
    with monkeypatch.context() as only:
        for name in later:
            only.setattr(importlib.import_module(f"payments.migrations.{name}").Migration, "operations", [])
        await migrate.migrate(settings_for(url), {"payments": APPS["payments"], "kernel": APPS["kernel"]})
    await db.connect(settings_for(url), {"payments": APPS["payments"], "kernel": APPS["kernel"]})
    for name in later:
        await db.execute("DELETE FROM tortoise_migrations WHERE app = 'payments' AND name = ?", name)
    await _rows()
    await db.close()
    return url


async def _rows() -> None:
    now = db.at(clock.now())
    for n, cause in ((1, "withdrawal"), (2, "surplus"), (3, "late")):
        await db.execute(
            "INSERT INTO payments_bill (id, created_at, bill_no, dedupe_key, unit_code, kind, subject, owner_ref, title, gross_fen, "
            "waived_fen, due_fen, currency, allow_partial, late_policy, state, version, event_seq, expires_at) "
            "VALUES (?, ?, ?, ?, 'U', 'administrative', 'case:1', 'o', 't', 1000, 0, 1000, 'CNY', ?, 'refund', 'paid', 1, 0, ?)",
            n, now, f"B{n}", f"k{n}", False, now,
        )  # fmt: skip
        await db.execute(
            "INSERT INTO payments_attempt (id, created_at, bill_id, payment_no, channel, product, amount_fen, currency, payer_ref, state, "
            "request_body, channel_txn_id, expires_at, sends, ladder_from_at, checks, review_required, event_seq) "
            "VALUES (?, ?, ?, ?, 'wechat', 'wechat_jsapi', 1000, 'CNY', 'o', 'paid', 'x', ?, ?, 1, ?, 0, ?, 0)",
            n, now, n, f"P{n}", f"4200{n}", now, now, False,
        )  # fmt: skip
        await db.execute(
            "INSERT INTO payments_refund_due (created_at, dedupe_key, bill_id, attempt_id, amount_fen, cause, source, state) "
            "VALUES (?, ?, ?, ?, 1000, ?, 'income', 'due')",
            db.at(clock.now()), f"P{n}:{cause}", n, n, cause,
        )  # fmt: skip
    await db.execute(
        "INSERT INTO payments_difference (created_at, class_name, key, channel, payment_no, detail, state) "
        "VALUES (?, 'REFUND_CHANNEL_ONLY', 'wechat:BY-HAND', 'wechat', 'P3', 'd', 'open')",
        now,
    )


async def test_every_row_of_money_owed_back_becomes_a_refund(before, channel):
    apps = {"payments": APPS["payments"], "kernel": APPS["kernel"]}
    await migrate.migrate(settings_for(before), apps)
    await db.connect(settings_for(before), apps)
    try:
        found = {r.dedupe_key: r for r in await Refund.all()}
        assert set(found) == {"P1:withdrawal", "P2:surplus", "P3:late"}
        assert {(r.amount_fen, r.state, r.channel, r.requested_by) for r in found.values()} == {
            (1000, "requested", "wechat", "system")
        }
        # The channel told of a refund made by hand for the third: a person decides about that one.
        assert [found[k].automatic for k in sorted(found)] == [True, True, False]
        assert len({r.refund_no for r in found.values()}) == 3
        await refund_janitor.check_refunds()
        assert sorted(r.state for r in await Refund.all()) == ["processing", "processing", "requested"]
        with pytest.raises(Exception, match="payments_refund"):
            await db.execute("UPDATE payments_refund SET amount_fen = 0")
        missing = await db.fetch(
            "SELECT name FROM sqlite_master WHERE name LIKE '%refund_due%'"
            if ENGINE == "sqlite"
            else "SELECT tablename AS name FROM pg_tables WHERE tablename LIKE '%refund_due%'"
        )
        assert missing == []
    finally:
        await db.close()
