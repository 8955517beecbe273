"""Pre-signed notices: the product takes them, the audit finds what is missing, pgbench plays what the product sends."""

import json
import re
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from bench import contract, notices
from bench import database as bench_database
from bench.data import County, Person
from kernel import db
from payments import at_once, runtime, settlement
from payments.gateways.wechat_pay import keys as key_tables
from payments.gateways.wechat_pay import notices as wechat_notices
from payments.gateways.wechat_pay.gateway import WeChatPayGateway
from payments.notices import receive_notice
from payments.settings import PaymentSettings
from tests.conftest import ENGINE
from tests.payments import wechat_side

pytestmark = pytest.mark.skipif(ENGINE != "postgres", reason="the benchmark runs on PostgreSQL")


class Client:
    """What the gateway needs of its client to verify."""

    def __init__(self, till):
        async def news(*_):
            raise AssertionError("the key is known")

        self.keys = key_tables.KeyTable(
            channel="wechat", public_key_id=notices.PUBLIC_ID, public_key=till.key.public_key(), store=None, news=news
        )


@pytest.fixture
async def till(database, database_url, tmp_path):
    """Five open bills, the partner that knows them, and the product's gateway with the partner's public key."""
    made = notices.Till(tmp_path)
    merchant = wechat_side.merchant()
    made.environment({
        "WECHATPAY_MCHID": merchant.mchid, "WECHATPAY_APPID": merchant.app_id, "WECHATPAY_APIV3_KEY": wechat_side.APIV3_KEY,
    })  # fmt: skip
    runtime.use(
        PaymentSettings(), {"wechat": WeChatPayGateway(client=Client(made), merchant=merchant, notify_url="http://x/")}
    )
    made.connection = await asyncpg.connect(database_url)
    people = [Person(f"ref{n}", f"token{n}", ()) for n in range(3)]
    await notices.fill(made.connection, County(people, stored=0, version_id=1), made, 5)
    yield made
    await made.connection.close()
    runtime.use(PaymentSettings(), {})


async def give(till, number, **changed):
    body = till.body(number, **changed)
    return (await receive_notice(channel="wechat", headers=till.headers(body), raw=body)).status


async def test_every_acknowledged_notice_is_settled_and_a_copy_is_not_settled_again(till):
    first = till.take(3)
    for number in (first, first + 1, first, first + 2, first):
        assert await give(till, number) == 204
    audit = await notices.audit(till.connection, 3)
    assert audit["violations"] == {} and audit["rows"]["receivable_fen"] == 3 * notices.FEN
    forged = await receive_notice(channel="wechat", headers=till.headers(b"x"), raw=till.body(4))
    assert forged.status == 401


@pytest.mark.parametrize("claimed", [1, 3])
async def test_the_audit_finds_an_acknowledged_notice_without_its_rows_and_rows_without_one(till, claimed):
    assert [await give(till, number) for number in (0, 1)] == [204, 204]
    found = (await notices.audit(till.connection, claimed))["violations"]
    assert {"paid_bills", "postings", "receivable_fen", "promises"} <= found.keys()


async def test_the_audit_finds_half_a_settlement(till):
    await till.connection.execute("UPDATE payments_bill SET state = 'paid' WHERE bill_no = $1", notices.bill_no(0))
    assert {"half_done", "paid_bills"} <= (await notices.audit(till.connection, 0))["violations"].keys()


async def test_another_amount_settles_nothing(till):
    assert await give(till, 0, fen=notices.FEN + 1) == 204
    assert (await notices.audit(till.connection, 0))["rows"]["paid_bills"] == 0


async def test_more_bills_than_were_prepared_are_refused(till):
    with pytest.raises(RuntimeError):
        till.take(6)


def test_a_small_campaign_is_issued_paid_and_reconciled():
    command = [sys.executable, "-m", "bench", "campaign", "--bills", "120"]
    done = subprocess.run(
        command, cwd=Path(notices.__file__).parents[1], capture_output=True, text=True, check=False, timeout=170
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert result["violations"] == [] and set(result["peak_mb"]) == {"api", "worker", "command"}
    assert set(result["parts"]) == {"issue", "order", "pay", "tell", "compare"}


SCRIPTS = Path(bench_database.__file__).parent / "pgfloor"
WRITES = re.compile(r"\b(INSERT INTO|UPDATE) \"?((?:kernel|payments)_\w+)")


@pytest.mark.parametrize("script", ["notice_statement", "notice_transaction"])
async def test_pgbench_writes_what_the_product_writes(till, monkeypatch, script):
    sent, prepared = [], db._prepared

    def noted(sql, params):
        sent.append(sql)
        return prepared(sql, params)

    async def never(*_, **__):
        return at_once.Taken.NOT_HERE

    if script == "notice_statement":
        monkeypatch.setattr(db, "_prepared", noted)
        assert await give(till, 0) == 204
    else:
        monkeypatch.setattr(at_once, "take", never)
        opened = wechat_notices.open_notice(wechat_side.merchant(), till.body(0))
        monkeypatch.setattr(db, "_prepared", noted)
        await settlement.apply_evidence(opened.evidence)
        sent += ['INSERT INTO "kernel_inbox"', 'UPDATE "payments_attempt"', 'UPDATE "payments_bill"']  # by the ORM
    played = (SCRIPTS / f"{script}.sql").read_text(encoding="utf-8")
    assert set(WRITES.findall(" ".join(sent))) == set(WRITES.findall(played))


async def test_a_server_that_takes_forged_notices_is_not_timed(till):
    from aiohttp import web

    async def anything(request):
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post(notices.PATH, anything)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        with pytest.raises(contract.Broken, match="forged"):
            await contract.notices("x", f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}", till)
    finally:
        await runner.cleanup()
