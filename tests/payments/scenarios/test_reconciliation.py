"""Scenarios 46–52: the daily reconciliation against the WeChat Pay sandbox over real HTTP, statements honest and spoiled."""

from datetime import time, timedelta

import pytest

import payments
from kernel import clock, db
from payments import refund_asking
from payments.models import Difference, Refund
from payments.reconciliation.models import ReconRun
from payments.refund_states import RefundState
from payments.states import AttemptState
from tests.payments.finance import SUM, flow_of
from tests.sandbox.wechat_pay_caller import NOTIFY, Merchant


async def test_s46_every_class_at_once(office):
    names = ("match", "local", "high", "low", "unpaid", "not", "fee", "short", "over", "twice", "second")
    numbers = {name: await office.sell(known=name != "unpaid") for name in names}
    merchant = Merchant(office.town.partner)
    stranger = "STRANGER0001"
    await merchant.place(number=stranger)
    await office.town.pay(stranger, at=office.noon(), notify=False)
    by_hand = {
        "out_trade_no": numbers["match"], "out_refund_no": "BYHAND1", "notify_url": NOTIFY,
        "amount": {"refund": 400, "total": SUM, "currency": "CNY"},
    }  # fmt: skip
    assert (await merchant.call("POST", "/v3/refund/domestic/refunds", by_hand)).status == 200
    await office.ready(
        drop=[numbers["local"]],
        change={
            numbers["high"]: {"订单金额": "10.01"},
            numbers["low"]: {"订单金额": "9.99"},
            numbers["not"]: {"交易状态": "REVOKED"},
            numbers["fee"]: {"手续费": "0.09000"},
        },
        add=[
            await office.row(numbers["twice"]),
            await office.row(numbers["second"], 微信订单号="4200SECOND"),
            await office.row(numbers["match"], 商户订单号="NOBODYS1", 微信订单号="4200NOBODY"),
            await office.row(numbers["match"], 商户订单号="OTHERAPP", 微信订单号="4200OTHER", 公众账号ID="wx0000000000000000"),
        ],
        flow={
            "drop": [f"{numbers['short']}:交易"],
            "change": {f"{numbers['over']}:交易": {"收支金额(元)": "11.00"}},
        },
    )  # fmt: skip
    assert await office.run() == {"trade": "diffs_open", "fund": "diffs_open"}
    found = await office.found()
    trade = [row for row in found if not row[0].startswith("SETTLEMENT")]
    assert trade == sorted(
        [
            ("AMOUNT_HIGH", numbers["high"], "open"),
            ("AMOUNT_LOW", numbers["low"], "open"),
            ("CHANNEL_ONLY", "NOBODYS1", "open"),
            ("CHANNEL_ONLY", stranger, "open"),
            ("DUPLICATE_LINE", numbers["twice"], "open"),
            ("FEE", "", "open"),
            ("FEE", "", "open"),  # and the account took another sum than the trade bill says
            ("LOCAL_ONLY", numbers["local"], "carried"),
            ("SECOND_TRANSACTION", numbers["second"], "open"),
            ("STATUS_OURS_PAID_THEIRS_NOT", numbers["not"], "open"),
            ("STATUS_OURS_UNPAID", numbers["unpaid"], "auto_fixed"),
        ]
    )
    moved = {(name, number) for name, number, _ in found if name.startswith("SETTLEMENT")}
    assert moved == {
        ("SETTLEMENT_SHORT", numbers["short"]), ("SETTLEMENT_OVER", numbers["over"]),
        # What was spoiled in the trade bill alone shows against the account too.
        ("SETTLEMENT_OVER", numbers["local"]), ("SETTLEMENT_OVER", numbers["not"]), ("SETTLEMENT_SHORT", numbers["twice"]),
        ("SETTLEMENT_SHORT", numbers["second"]), ("SETTLEMENT_SHORT", "NOBODYS1"), ("SETTLEMENT_SHORT", "OTHERAPP"),
    }  # fmt: skip
    assert (await office.town.attempt(numbers["unpaid"])).state == AttemptState.PAID
    assert (await ReconRun.get(kind="trade")).foreign_count == 1
    # The stranger's money is in suspense, because the channel itself confirmed it; the line nobody confirms is not.
    suspended = {
        row["payment_no"]
        for row in await db.fetch("SELECT payment_no FROM payments_evidence WHERE effect = 'suspense'")
    }
    assert suspended == {stranger, numbers["second"]}


async def test_s46_every_class_of_refunds(office):
    """Refunds are dated by their beginning, so this is today's file."""
    office.day = clock.today()
    sold = {
        name: await office.sell(at=clock.now().isoformat())
        for name in ("match", "local", "amount", "hand", "lost", "failed", "going")
    }
    back = {name: await office.give_back(sold[name]) for name in ("match", "local", "amount", "failed", "going")}
    for name in ("match", "local", "amount", "failed"):
        await office.finish(back[name])
    await office.town.fault("refund", {"drop": "after"})
    back["lost"] = await office.give_back(sold["lost"])
    assert (await Refund.get(refund_no=back["lost"])).state == RefundState.UNKNOWN
    by_hand = {
        "out_trade_no": sold["hand"], "out_refund_no": "BYHAND1", "notify_url": NOTIFY,
        "amount": {"refund": 400, "total": SUM, "currency": "CNY"},
    }  # fmt: skip
    assert (await Merchant(office.town.partner).call("POST", "/v3/refund/domestic/refunds", by_hand)).status == 200
    await office.ready(
        drop=[back["local"]],
        change={back["amount"]: {"申请退款金额": "4.01"}, back["failed"]: {"退款状态": "FAIL"}},
    )
    assert (await office.run())["trade"] == "diffs_open"
    found = [row for row in await office.found() if not row[0].startswith(("SETTLEMENT", "FEE"))]
    assert found == sorted(
        [
            ("REFUND_AMOUNT", sold["amount"], "open"),
            ("REFUND_CHANNEL_ONLY", sold["hand"], "open"),
            ("REFUND_CHANNEL_ONLY", sold["lost"], "auto_fixed"),
            ("REFUND_LOCAL_ONLY", sold["local"], "carried"),
            ("REFUND_LOCAL_ONLY", sold["failed"], "auto_fixed"),
        ]
    )
    assert (await Refund.get(refund_no=back["lost"])).state == RefundState.PROCESSING
    assert ("MATCH", back["match"]) in await office.kept() and ("MATCH", back["going"]) in await office.kept()
    hand = await Difference.get(key="wechat:BYHAND1")
    assert "refund adopt" in hand.detail and hand.acted_at is not None


async def test_s46_a_refund_made_by_hand_is_over_when_it_is_registered(office):
    office.day = clock.today()
    one = await office.sell(at=clock.now().isoformat())
    by_hand = {
        "out_trade_no": one, "out_refund_no": "BYHAND1", "notify_url": NOTIFY,
        "amount": {"refund": 400, "total": SUM, "currency": "CNY"},
    }  # fmt: skip
    assert (await Merchant(office.town.partner).call("POST", "/v3/refund/domestic/refunds", by_hand)).status == 200
    await office.ready()
    await office.run()
    assert await office.found() == [("REFUND_CHANNEL_ONLY", one, "open")]
    await payments.adopt_refund(refund_no="BYHAND1", payment_no=one, reason="误退登记", requested_by="张会计")
    await payments.approve_refund(refund_no="BYHAND1", approved_by="李主任")
    await refund_asking.work_on("BYHAND1")
    assert await office.found() == [("REFUND_CHANNEL_ONLY", one, "resolved")]
    await office.ready(extra_column="新")
    assert (await office.run(again=True))["trade"] == "matched"
    assert await office.kept() == [("OTHER_DAY", "BYHAND1")]


async def test_s47_run_twice_and_fetched_twice(office):
    one, unpaid = await office.sell(), await office.sell(known=False)
    await office.ready(drop=[one])
    first = await office.run()
    found, kept, runs = await office.found(), await office.kept(), await ReconRun.all().order_by("id")
    assert found == [
        ("FEE", "", "open"),  # the account's fees include the line that is missing in the bill
        ("LOCAL_ONLY", one, "carried"), ("SETTLEMENT_OVER", one, "carried"), ("STATUS_OURS_UNPAID", unpaid, "auto_fixed"),
    ]  # fmt: skip
    for again in (False, True):
        await office.ready(drop=[one])
        assert await office.run(again=again) == first
        assert (await office.found(), await office.kept()) == (found, kept)
        assert [run.matched_at for run in await ReconRun.all().order_by("id")] == [run.matched_at for run in runs]
    posted = await db.fetch("SELECT dedupe_key FROM payments_ledger_txn WHERE kind = 'settle'")
    assert len(posted) == 1


@pytest.mark.parametrize(
    "wish", [{"hash": "wrong"}, {"truncate": True}, {"summary": "wrong"}], ids=["hash", "truncated", "summary"]
)
async def test_s48_a_broken_file_fails_the_run_and_nothing_of_it_is_used(office, wish):
    unpaid = await office.sell(known=False)
    await office.ready(**wish)
    assert await office.run() == {"trade": "failed", "fund": "pending"}
    assert (await office.found(), await office.kept()) == ([], [])
    assert (await office.town.attempt(unpaid)).state == AttemptState.PENDING
    run = await ReconRun.get(kind="trade")
    assert run.reason and run.next_try_at > clock.now() + timedelta(minutes=20)
    await office.run()  # the next fetch is honest
    assert (await office.town.attempt(unpaid)).state == AttemptState.PAID
    assert (await ReconRun.get(kind="trade")).state == "diffs_open"


async def test_s49_no_statement_with_and_without_payments_and_one_in_the_making(office):
    """None without payments of ours, none with one, and one that is still being made."""
    quiet = office.day - timedelta(days=1)
    await office.ready(quiet, ready="none")
    assert await office.run(quiet) == {"trade": "matched", "fund": "matched"}
    one = await office.sell()
    await office.ready(ready="creating")
    assert await office.run() == {"trade": "waiting", "fund": "pending"}
    run = await ReconRun.get(kind="trade", day_on=office.day)
    assert timedelta(minutes=29) < run.next_try_at - clock.now() <= timedelta(minutes=30)
    await office.ready(ready="none")
    assert (await office.run())["trade"] == "diffs_open"
    assert await office.found() == [("LOCAL_ONLY", one, "carried")]


async def test_s50_a_payment_at_the_end_of_a_day_stands_in_the_next_days_file(office):
    late = office.day - timedelta(days=1)
    await office.sell()
    await office.sell(at=office.noon(late))
    one = await office.sell(at=office.noon(late, time(23, 59, 59)))
    row = await office.row(one)
    await office.ready(late, drop=[one], flow={"drop": [f"{one}:交易", f"{one}:扣除交易手续费"]})
    await office.run(late)
    assert await office.found() == [("LOCAL_ONLY", one, "carried")]
    await office.ready(add=[row], flow={"add": flow_of(row)})
    assert await office.run() == {"trade": "matched", "fund": "matched"}
    assert await office.found() == [("LOCAL_ONLY", one, "auto_fixed")]
    assert await office.kept() == [("OTHER_DAY", one)]


async def test_s51_names_with_commas_quotes_backticks_and_line_breaks(office):
    one = await office.sell()
    await office.ready(change={one: {"商品名称": '优待证,"补办"`费`\n第二行', "商户数据包": "`,`,"}})
    assert (await office.run())["trade"] == "matched"


async def test_s52_a_new_column_in_the_middle(office):
    await office.sell()
    await office.ready(extra_column="优惠明细")
    assert (await office.run())["trade"] == "matched"
