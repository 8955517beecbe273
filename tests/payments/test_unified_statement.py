"""The finance platform's daily statement: fetched in pages, believed only when it adds up, and matched with our books."""

import pytest

import payments
from kernel import clock, storage
from kernel.storage import StorageSettings
from payments import asking, reconciliation, runtime
from payments.gateways.statement_port import Fetched, LineKind, NotFetched, StatementInvalid, StatementKind
from payments.models import Difference
from payments.reconciliation import workplace
from payments.states import BillState
from tests.payments.treasury import treasury

TRADE = StatementKind.TRADE


@pytest.fixture(params=["frames", "province"])
async def county(request, tmp_path, database, frozen_clock):
    storage.configure(StorageSettings(), data_folder=tmp_path / "data")
    workplace.use(tmp_path / "statements")
    async with treasury(tmp_path, face=request.param) as place:
        await place.shift(frozen_clock, 0)
        yield place


async def sell(place, key: str, *, known: bool = True) -> tuple[str, str, str]:
    bill_no = await place.issue(key)
    view = await place.start(bill_no)
    payment = await place.pay(view.payment_no, notify=False)
    if known:
        await asking.work_on(view.payment_no)
    return bill_no, view.payment_no, payment["txn"]


async def next_morning(place, standing):
    """The following day, when yesterday's statement is there."""
    day = clock.today()
    await place.shift(standing, 86400)
    return day


async def lines(place, day, folder) -> list:
    port = runtime.gateway("unified").statements
    folder.mkdir(exist_ok=True)
    fetched = await port.fetch(day=day, kind=TRADE, into=folder)
    assert isinstance(fetched, Fetched), fetched
    return list(port.lines(fetched.path, TRADE))


async def test_every_page_of_a_day_in_order(county, frozen_clock, tmp_path):
    sold = [await sell(county, f"fee:{n}") for n in range(5)]
    bill_no = await county.issue("fee:counter")
    await county.start(bill_no)
    await county.at_counter(bill_no, notify=False)
    day = await next_morning(county, frozen_clock)
    await county.control("POST", "/config", {"page_lines": 2})
    found = await lines(county, day, tmp_path / "in")
    assert [line.payment_no for line in found] == [number for _, number, _ in sold] + [await county.code(bill_no)]
    assert {line.kind for line in found} == {LineKind.PAYMENT} and sum(line.amount_fen for line in found) == 6000


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({"truncate": True}, "cut"),
        ({"summary_off": 1}, "differ"),
        ({"change": {"TXN": {"金额": "x"}}}, "no amount"),
        ({"change": {"TXN": {"时间": "yesterday"}}}, "not a time"),
        ({"change": {"TXN": {"交易流水号": ""}}}, "no number"),
        ({"change": {"TXN": {"方式": "a|b"}}}, "columns"),
    ],
)
async def test_a_file_that_does_not_add_up_gives_nothing(county, frozen_clock, tmp_path, wish, word):
    _, _, txn = await sell(county, "fee:1")
    day = await next_morning(county, frozen_clock)
    wish = {name: {txn: next(iter(value.values()))} if name == "change" else value for name, value in wish.items()}
    await county.control("POST", f"/statements/{day:%Y%m%d}", {"ready": True, **wish})
    with pytest.raises(StatementInvalid, match=word):
        await lines(county, day, tmp_path / "in")


async def test_a_new_column_in_the_middle_does_no_harm(county, frozen_clock, tmp_path):
    _, number, _ = await sell(county, "fee:1")
    day = await next_morning(county, frozen_clock)
    await county.control("POST", f"/statements/{day:%Y%m%d}", {"extra_column": "新列"})
    assert [line.payment_no for line in await lines(county, day, tmp_path / "in")] == [number]


@pytest.mark.parametrize(("ready", "reason", "again"), [("creating", "creating", 1800), ("none", "none", None)])
async def test_why_there_is_no_file(county, frozen_clock, tmp_path, ready, reason, again):
    await sell(county, "fee:1")
    day = await next_morning(county, frozen_clock)
    await county.control("POST", f"/statements/{day:%Y%m%d}", {"ready": ready})
    port = runtime.gateway("unified").statements
    assert await port.fetch(day=day, kind=TRADE, into=tmp_path) == NotFetched(reason=reason, again_seconds=again)
    today = await port.fetch(day=clock.today(), kind=TRADE, into=tmp_path)
    assert today.reason == "creating"


async def test_an_honest_day_matches_the_counter_included(county, frozen_clock):
    await sell(county, "fee:1")
    bill_no = await county.issue("fee:2")
    view = await county.start(bill_no)
    await county.at_counter(bill_no, notify=False)
    await county.ask(view.payment_no)
    day = await next_morning(county, frozen_clock)
    (run,) = await reconciliation.reconcile(channel="unified", day=day)
    assert (run.kind, run.state, run.line_count, run.matched_count) == ("trade", "matched", 2, 2)
    assert await Difference.all().count() == 0


async def test_money_nobody_told_us_of_is_found_and_settled(county, frozen_clock):
    """A phone payment and a counter payment whose pushes were lost, and whose orders nobody asked about again."""
    bill_a, number, _ = await sell(county, "fee:1", known=False)
    bill_b = await county.issue("fee:2")
    view = await county.start(bill_b)
    await county.ask(view.payment_no)
    await county.control("POST", f"/orders/{view.payment_no}/close")
    await county.at_counter(bill_b, notify=False)
    day = await next_morning(county, frozen_clock)
    (run,) = await reconciliation.reconcile(channel="unified", day=day)
    assert run.line_count == 2
    for bill_no in (bill_a, bill_b):
        assert (await county.bill(bill_no)).state == BillState.PAID
    assert {(d.class_name, d.state) for d in await Difference.all()} == {
        ("STATUS_OURS_UNPAID", "auto_fixed"),
        ("CHANNEL_ONLY", "auto_fixed"),
    }
    assert [a.payment_no for a in await county.attempts(bill_a)] == [number]
    shown = await payments.bill(owner_ref="owner-one", bill_no=bill_b)
    assert shown.status == "paid" and not shown.refunds
