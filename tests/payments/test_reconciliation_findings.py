"""What a comparison leaves in the database, when there is more of it than fits into one statement."""

from datetime import date

from kernel import clock
from payments.models import Difference
from payments.reconciliation import findings
from payments.reconciliation.models import ReconLine, ReconRun
from payments.reconciliation.scratch import Found
from payments.reconciliation.states import RunState

DAY = date(2026, 11, 18)
MANY = 1300


def found(n: int, class_name: str = "CHANNEL_ONLY", **more) -> Found:
    values = {
        "line_no": n, "class_name": class_name, "key": f"wechat:T{n}", "kind": "payment", "number": f"P{n}", "channel_txn_id": f"T{n}",
        "theirs_fen": 1000, "ours_fen": None, "currency": "CNY", "fees_fen": 6, "payment_no": f"P{n}", "happened_at": clock.now(),
    }  # fmt: skip
    return Found(**(values | more))


async def a_run(kind: str = "trade", day: date = DAY) -> ReconRun:
    return await ReconRun.create(channel="wechat", day_on=day, kind=kind, state=RunState.PARSED)


async def test_more_findings_than_a_statement_holds_and_twice(books):
    run = await a_run()
    for _ in range(2):
        await findings.forget_lines(run)
        counts = await findings.keep(run, [found(n) for n in range(1, MANY + 1)])
        assert counts == {"CHANNEL_ONLY": MANY}
    assert (await Difference.all().count(), await ReconLine.all().count()) == (MANY, MANY)


async def test_many_that_stood_in_another_days_file(books):
    earlier, run = await a_run(day=date(2026, 11, 19)), await a_run()
    await findings.keep(earlier, [found(n, "OTHER_DAY", key=f"P{n}") for n in range(1, MANY + 1)])
    missing = [found(0, "LOCAL_ONLY", key=f"P{n}", number=f"P{n}", happened_at=None) for n in range(1, MANY + 2)]
    assert await findings.keep(run, missing) == {"LOCAL_ONLY": 1}
    assert [row.key for row in await Difference.all()] == [f"P{MANY + 1}"]


async def test_money_that_moved_a_day_later_closes_both_sides(books):
    first, second = await a_run("fund"), await a_run("fund", date(2026, 11, 19))
    short = found(0, "SETTLEMENT_SHORT", key="wechat:payment:P1", ours_fen=1000, theirs_fen=0)
    await findings.keep(first, [short])
    other = found(3, "SETTLEMENT_OVER", key="wechat:payment:P1", ours_fen=0, theirs_fen=900)
    assert await findings.keep(second, [other]) == {"SETTLEMENT_OVER": 1}  # another amount explains nothing
    await Difference.filter(class_name="SETTLEMENT_OVER").delete()
    same = found(3, "SETTLEMENT_OVER", key="wechat:payment:P1", ours_fen=0, theirs_fen=1000)
    assert await findings.keep(second, [same]) == {}
    assert [(row.class_name, row.state) for row in await Difference.all()] == [("SETTLEMENT_SHORT", "auto_fixed")]


async def test_what_settlement_saw_first_stands_in_the_days_report(books):
    run = await a_run()
    await Difference.create(
        class_name="CHANNEL_ONLY", key="wechat:T1", channel="wechat", payment_no="P1", detail="通知", state="open"
    )
    assert await findings.keep(run, [found(1)]) == {"CHANNEL_ONLY": 1}
    (row,) = await Difference.all()
    assert (row.day_on, row.detail) == (DAY, "通知")
