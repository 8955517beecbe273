"""Scenarios 46–52: the daily reconciliation against the WeChat Pay sandbox over real HTTP, statements honest and spoiled."""

from datetime import datetime, time, timedelta

import pytest

import payments
from kernel import clock, db, storage
from kernel.problems import Conflict
from kernel.storage import StorageSettings
from payments import asking, reconciliation
from payments.models import Difference
from payments.reconciliation import rounds, states, workplace
from payments.reconciliation.models import ReconLine, ReconRun
from payments.settings import PaymentSettings
from payments.states import AttemptState
from tests.sandbox.wechat_pay_caller import NOTIFY, Merchant
from tests.wire.test_wechat_pay import Town, door, town  # noqa: F401 - fixtures

SUM = 1000


class Counter:
    """The finance office beside the town: yesterday's business, its statements, and what the reconciliation made of them."""

    def __init__(self, place: Town) -> None:
        self.town = place
        self.day = clock.today() - timedelta(days=1)
        self._keys = 0

    def noon(self, day=None, at: time = time(12)) -> str:
        return datetime.combine(day or self.day, at, tzinfo=clock.SHANGHAI).isoformat()

    async def sell(self, *, known: bool = True, at: str | None = None) -> str:
        """One payment of ten yuan, paid over there; `known`: we have heard of it."""
        self._keys += 1
        view = await self.town.start(f"fee:{self._keys}")
        await self.town.pay(view.payment_no, at=at or self.noon(), notify=False)
        if known:
            await asking.work_on(view.payment_no)
            assert (await self.town.attempt(view.payment_no)).state == AttemptState.PAID
        return view.payment_no

    async def row(self, number: str, **changed: str) -> dict[str, str]:
        """The line of an order as the partner would write it, to add it once more or to another day."""
        order = await self.town.order(number)
        api = order["api"]
        return {
            "交易时间": self.noon().replace("T", " ")[:19], "公众账号ID": api["appid"], "商户号": api["mchid"],
            "微信订单号": api["transaction_id"], "商户订单号": number, "交易状态": "SUCCESS", "货币种类": "CNY", "应结订单金额": "10.00",
            "代金券金额": "0.00", "退款金额": "0.00", "充值券退款金额": "0.00", "手续费": "0.06000", "订单金额": "10.00", "申请退款金额": "0.00",
        } | changed  # fmt: skip

    async def ready(self, day=None, **wish) -> None:
        await self.town.control("POST", f"/statements/{day or self.day}", wish)

    async def run(self, day=None, **more) -> dict[str, str]:
        found = await reconciliation.reconcile(channel="wechat", day=day or self.day, **more)
        return {run.kind: run.state for run in found}

    async def found(self) -> list[tuple[str, str, str]]:
        rows = await Difference.all().order_by("id")
        return sorted((row.class_name, row.payment_no or "", row.state) for row in rows)

    async def kept(self) -> list[tuple[str, str]]:
        return sorted((line.class_name, line.number or "") for line in await ReconLine.all())


@pytest.fixture
async def office(town, tmp_path):  # noqa: F811
    storage.configure(StorageSettings(), data_folder=tmp_path / "data")
    workplace.use(tmp_path / "statements")
    payments.configure(PaymentSettings(fee_rates=("wechat=60",)), town.settings)
    yield Counter(town)
    assert list((tmp_path / "statements").iterdir()) == []


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


async def test_every_class_at_once(office):
    """Scenario 46."""
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


async def test_run_twice_fetched_twice(office):
    """Scenario 47."""
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
    "wish", [{"hash": "wrong"}, {"truncate": True}, {"summary": "wrong"}], ids=["hash", "truncated", "summary"]
)
async def test_a_broken_file_fails_the_run_and_nothing_of_it_is_used(office, wish):
    """Scenario 48."""
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


async def test_no_statement(office):
    """Scenario 49: none without payments of ours, none with one, and one that is still being made."""
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


async def test_a_payment_at_the_end_of_a_day_stands_in_the_next_days_file(office):
    """Scenario 50."""
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


def flow_of(row: dict[str, str]) -> list[dict[str, str]]:
    common = {
        "记账时间": row["交易时间"], "微信支付业务单号": row["微信订单号"], "业务凭证号": row["商户订单号"], "业务名称": "交易", "账户结余(元)": "0.00",
    }  # fmt: skip
    return [
        common | {"资金流水单号": "F1", "业务类型": "交易", "收支类型": "收入", "收支金额(元)": "10.00"},
        common | {"资金流水单号": "F2", "业务类型": "扣除交易手续费", "收支类型": "支出", "收支金额(元)": "0.06"},
    ]


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


async def test_names_with_commas_quotes_backticks_and_line_breaks(office):
    """Scenario 51."""
    one = await office.sell()
    await office.ready(change={one: {"商品名称": '优待证,"补办"`费`\n第二行', "商户数据包": "`,`,"}})
    assert (await office.run())["trade"] == "matched"


async def test_a_new_column(office):
    """Scenario 52; a column in the middle is in tests/payments/test_wechat_statements.py."""
    await office.sell()
    await office.ready(extra_column="优惠明细")
    assert (await office.run())["trade"] == "matched"


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


async def test_the_timer_works_what_is_due(office):
    gateway = office.town.gateway
    await office.sell()
    await office.ready()
    if clock.local(clock.now()).hour >= 10:
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
