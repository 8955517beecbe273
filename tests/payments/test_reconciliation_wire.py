"""The daily reconciliation against the WeChat Pay sandbox over real HTTP, beside the numbered scenarios: tries, claims, crashes, days."""

from datetime import time, timedelta

import pytest

from kernel import clock, db, storage
from kernel.problems import Conflict
from payments import reconciliation
from payments.reconciliation import rounds, states
from payments.reconciliation.models import ReconRun
from tests.payments.finance import flow_of


async def test_an_honest_day_is_matched_and_nothing_is_left_over(office):
    for _ in range(3):
        await office.sell()
    await office.ready()
    assert await office.run() == {"trade": "matched", "fund": "matched"}
    trade, fund = await ReconRun.all().order_by("id")
    assert (trade.line_count, trade.matched_count, trade.paid_fen, trade.ours_fen, trade.fees_fen) == (
        3,
        3,
        3000,
        3000,
        18,
    )
    assert (fund.line_count, fund.fees_fen) == (6, 18)
    assert (await office.found(), await office.kept()) == ([], [])
    assert await db.fetch("SELECT id FROM payments_ledger_txn WHERE kind = 'settle'") != []


async def test_a_corrected_file_is_compared_anew_and_adds_only_what_is_new(office):
    one = await office.sell()
    await office.sell()
    await office.ready(drop=[one])
    await office.run()
    await office.ready()
    assert (await office.run(again=True))["trade"] == "matched"
    assert (await ReconRun.get(kind="trade")).matched_count == 2
    assert (await ReconRun.get(kind="fund")).state == "matched"
    assert {row[2] for row in await office.found()} == {"auto_fixed"}


@pytest.mark.parametrize(
    ("call", "effect"),
    [
        (call, effect)
        for call in ("bill", "download")
        for effect in ({"status": 500}, {"drop": "before"}, {"status": 429})
    ]
    + [
        ("bill", {"signature": "other_key"}),
        ("bill", {"signature": "none"}),
        ("bill", {"status": 403, "code": "NO_AUTH"}),
    ],
    ids=str,
)
async def test_no_file_comes_and_the_run_waits(office, call, effect):
    await office.sell()
    await office.ready()
    await office.town.fault(call, effect)
    assert await office.run() == {"trade": "waiting", "fund": "pending"}
    assert await office.run() == {"trade": "matched", "fund": "matched"}


async def test_the_days_may_be_compared_in_any_order(office):
    late = office.day - timedelta(days=1)
    await office.sell()
    await office.sell(at=office.noon(late))
    one = await office.sell(at=office.noon(late, time(23, 59, 59)))
    row = await office.row(one)
    await office.ready(add=[row], flow={"add": flow_of(row)})
    await office.run()
    await office.ready(late, drop=[one], flow={"drop": [f"{one}:交易", f"{one}:扣除交易手续费"]})
    assert (await office.run(late))["trade"] == "matched"
    assert await office.found() == []


async def test_after_three_days_it_is_an_alarm_and_what_the_channel_denies_is_critical(office):
    """Carried through the files of three more days; then the channel is asked once."""
    first = office.day - timedelta(days=4)
    held, denied = await office.sell(at=office.noon(first)), await office.sell(at=office.noon(first))
    await office.town.control(
        "POST", "/faults", {"match": {"call": "query", "number": held}, "times": 9, "effect": {"status": 500}}
    )
    await office.town.control(
        "POST", "/faults", {"match": {"call": "query", "number": denied}, "times": 9, "effect": {"status": 404, "code": "ORDER_NOT_EXIST", "signed": True}}
    )  # fmt: skip
    for n in range(4):
        assert {row[2] for row in await office.found()} <= {"carried"}
        await office.ready(first + timedelta(days=n), ready="none")
        await office.run(first + timedelta(days=n))
    assert await office.found() == sorted(
        [
            ("LOCAL_ONLY", held, "open"),
            ("LOCAL_ONLY", denied, "auto_fixed"),
            ("STATUS_OURS_PAID_THEIRS_NOT", denied, "open"),
        ]
    )


async def test_money_that_went_to_the_bank_is_posted_once(office):
    one = await office.sell()
    out = flow_of(await office.row(one))[0] | {
        "资金流水单号": "W1",
        "业务类型": "提现",
        "收支类型": "支出",
        "收支金额(元)": "9.94",
        "业务凭证号": "",
    }
    await office.ready(flow={"add": [out]})
    assert await office.run() == {"trade": "matched", "fund": "matched"}
    rows = await db.fetch(
        "SELECT t.dedupe_key, a.code, e.amount_fen FROM payments_ledger_entry e JOIN payments_ledger_txn t ON t.id = e.txn_id "
        "JOIN payments_ledger_account a ON a.id = e.account_id WHERE t.kind = 'settle' ORDER BY t.dedupe_key, a.code"
    )
    assert [(r["dedupe_key"], r["code"], r["amount_fen"]) for r in rows] == [
        ("settle:wechat:W1", "bank:county", 994),
        ("settle:wechat:W1", "channel:wechat:receivable", -994),
        (f"settle:wechat:fees-{office.day}", "channel:fees", 6),
        (f"settle:wechat:fees-{office.day}", "channel:wechat:receivable", -6),
    ]
    total = await db.fetch(
        "SELECT SUM(e.amount_fen) AS rest FROM payments_ledger_entry e JOIN payments_ledger_account a ON a.id = e.account_id "
        "WHERE a.code = 'channel:wechat:receivable'"
    )
    assert total[0]["rest"] == 0  # paid ten yuan, kept six fen, sent the rest


async def test_the_timer_works_what_is_due(office, monkeypatch):
    gateway = office.town.gateway
    await office.sell()
    await office.ready()
    with monkeypatch.context() as later:
        later.setattr(type(gateway.statements), "ready_hour", 24)
        assert await rounds.due_days(gateway) == [], "the channel has not made its file yet"
    assert await rounds.due_days(gateway) == [office.day]
    await office.run()
    assert await rounds.due_days(gateway) == []
    await ReconRun.filter(kind="trade").update(state=states.RunState.FAILED, next_try_at=clock.now())
    assert await rounds.due_days(gateway) == [office.day]
    await rounds.run_due()
    assert [run.state for run in await ReconRun.all()] == ["matched", "matched"]


async def test_one_process_works_a_day(office):
    await office.sell()
    await office.ready()
    await office.run()
    await ReconRun.filter(kind="trade").update(claim="another", claimed_until=clock.now() + timedelta(minutes=1))
    with pytest.raises(reconciliation.DayBusy):
        await office.run(again=True)
    await ReconRun.filter(kind="trade").update(claimed_until=clock.now() - timedelta(seconds=1))
    assert (await office.run(again=True))["trade"] == "matched"


@pytest.mark.parametrize("state", ["fetched", "parsed", "no_statement"])
async def test_a_process_that_died_half_way_is_followed_by_one_that_begins_anew(office, state):
    one = await office.sell()
    await office.ready(drop=[one])
    await office.sell()
    await ReconRun.create(channel="wechat", day_on=office.day, kind="trade", state=state, sha256="0" * 64)
    assert office.day in await rounds.due_days(office.town.gateway)
    assert (await office.run())["trade"] == "diffs_open"
    assert [row[:2] for row in await office.found() if row[0] == "LOCAL_ONLY"] == [("LOCAL_ONLY", one)]


async def test_a_closed_day_is_never_compared_again(office):
    await office.sell()
    await office.ready()
    await office.run()
    for who in ("张会计", "李主任"):
        await reconciliation.sign(channel="wechat", day=office.day, signer=who)
    await office.ready(hash="wrong")
    assert await office.run(again=True) == {"trade": "closed", "fund": "closed"}
    await office.ready(drop=["NOBODY"], extra_column="新")
    with pytest.raises(Conflict):
        await office.run(again=True)


async def test_the_file_is_kept_and_can_be_read_again(office):
    await office.sell()
    await office.ready()
    await office.run()
    run = await ReconRun.get(kind="trade")
    assert (await storage.get(run.file_key))[:2] == b"\x1f\x8b"
    await ReconRun.filter(kind="fund").update(state=states.RunState.WAITING)
    assert (await office.run())["fund"] == "matched"  # held against the kept trade bill
