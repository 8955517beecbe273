"""The couriers of the first version are still there, and still logged in, after they became field workers."""

import importlib
from datetime import timedelta
from pathlib import Path

import pytest
import tortoise.exceptions as orm

from backend.identity import field_accounts, field_login, login, migrations, queries
from backend.identity.models import FieldWorker, Session
from backend.identity.views import AgentKind
from kernel import clock, crypto, db, migrate
from tests.backend.identity import fakes
from tests.conftest import ENGINE, settings_for

APPS = {"identity": ["backend.identity.models"]}
TOKEN = "t" * 43


@pytest.fixture
def url(request, tmp_path):
    """A database of its own, still empty."""
    if ENGINE == "sqlite":
        return f"sqlite://{tmp_path / 'identity.sqlite3'}"
    server = request.getfixturevalue("postgres")
    server.sql("postgres", "DROP DATABASE IF EXISTS identity_before WITH (FORCE)")
    server.sql("postgres", "CREATE DATABASE identity_before")
    return server.url("identity_before")


@pytest.fixture
async def with_couriers(url, monkeypatch, frozen_clock):
    """The schema before migration 0003, with one courier at work and one disabled."""
    fakes.configure()
    later = [path.stem for path in Path(str(migrations.__path__[0])).glob("0*.py") if path.stem >= "0003"]
    with monkeypatch.context() as only:
        for name in later:
            only.setattr(importlib.import_module(f"{migrations.__name__}.{name}").Migration, "operations", [])
        await migrate.migrate(settings_for(url), APPS)
    await db.connect(settings_for(url), APPS)
    for name in later:
        await db.execute("DELETE FROM tortoise_migrations WHERE name = ?", name)
    now, password = clock.now(), await crypto.hash_password("yumen-2026-ok")
    for ref, login_name, gone in (("r1", "ems-zhao", None), ("r2", "ems-gone", now)):
        await db.execute(
            "INSERT INTO identity_courier (ref, login_name, password_hash, carrier, areas, name_sealed, name_mask, "
            "disabled_at, created_at) VALUES (?, ?, ?, 'ems', '[\"620981\"]', 'x', '赵**', ?, ?)",
            ref, login_name, password, db.at(gone) if gone else None, db.at(now),
        )  # fmt: skip
    await db.execute(
        "INSERT INTO identity_session (courier_id, role, access_hash, refresh_hash, idle_until, absolute_until, "
        "last_used_at, created_at) VALUES (1, 'courier', ?, 'r', ?, ?, ?, ?)",
        crypto.token_hash(TOKEN), *[db.at(now + timedelta(minutes=5))] * 2, db.at(now), db.at(now),
    )  # fmt: skip
    await db.execute(
        "INSERT INTO identity_refresh_replay (session_id, refresh_hash, answer_until, created_at) VALUES (1, 'u', ?, ?)",
        db.at(now), db.at(now),
    )  # fmt: skip
    await db.close()
    await migrate.migrate(settings_for(url), APPS)
    await db.connect(settings_for(url), APPS)
    yield
    await db.close()


async def test_couriers_and_their_sessions_are_kept(with_couriers):
    actor = await login.authenticate(token=TOKEN)
    assert (actor.role, actor.carrier, actor.account_ref) == ("courier", "ems", "r1")
    assert (await queries.courier_me(actor=actor)).areas == ("620981",)
    assert (
        await field_login.log_in(role="courier", login_name="ems-zhao", password="yumen-2026-ok", ip="192.0.2.1")
    ).courier
    with pytest.raises(field_login.WrongPassword):
        await field_login.log_in(role="courier", login_name="ems-gone", password="yumen-2026-ok", ip="192.0.2.1")
    assert [e.login_name for e in await field_accounts.roster(role="courier")] == ["ems-gone", "ems-zhao"]
    assert (await db.fetch("SELECT COUNT(*) AS n FROM identity_refresh_replay"))[0]["n"] == 1


async def test_the_sessions_of_one_person_are_still_found_by_an_index(with_couriers):
    if ENGINE == "sqlite":
        rows = await db.fetch("SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'identity_session'")
    else:
        rows = await db.fetch("SELECT indexdef AS sql FROM pg_indexes WHERE tablename = 'identity_session'")
    assert sum("field_worker_id" in (row["sql"] or "") for row in rows) == 1


async def test_new_accounts_of_both_roles_follow_the_old_ones(with_couriers):
    await field_accounts.create_agent(
        login_name="dai-li", password="yumen-2026-ok", name="李大年", phone=None, areas=("620981",), kind=AgentKind.GRID,
        organisation="玉门镇", skills=(), serving_since_on=clock.today(),
    )  # fmt: skip
    assert (await FieldWorker.get(login_name="dai-li")).id == 3
    answer = await field_login.log_in(role="agent", login_name="dai-li", password="yumen-2026-ok", ip="::1")
    assert (await login.authenticate(token=answer.access_token)).role == "agent"
    assert await Session.filter(field_worker_id=3).count() == 1


WRONG = {
    "a courier without a carrier": {"role": "courier"},
    "a courier with an organisation": {"role": "courier", "carrier": "ems", "organisation": "玉门镇"},
    "an agent of nobody": {"role": "agent", "kind": "grid", "skills": [], "serving_since_on": "2024-05-01"},
    "an agent of a carrier": {
        "role": "agent", "carrier": "ems", "kind": "grid", "organisation": "玉门镇", "skills": [],
        "serving_since_on": "2024-05-01",
    },
    "an agent of an unknown kind": {
        "role": "agent", "kind": "boss", "organisation": "玉门镇", "skills": [], "serving_since_on": "2024-05-01",
    },
    "a third role": {"role": "clerk", "carrier": "ems"},
}  # fmt: skip


@pytest.mark.parametrize("columns", WRONG.values(), ids=WRONG.keys())
async def test_the_database_refuses_half_a_role(database, columns):
    with pytest.raises(orm.IntegrityError):
        await FieldWorker.create(
            ref="r", login_name="x", password_hash="x", areas=[], name_sealed="x", name_mask="x", **columns
        )
    assert await FieldWorker.all().count() == 0
