"""`python -m backend reconcile …`: what the clerk types, what it says, and what it refuses. The comparison itself has its own tests."""

from contextlib import asynccontextmanager
from datetime import date, timedelta

import pytest

from backend import commands, readiness
from backend.commands import reconcile
from backend.commands.terminal import Refused
from kernel import clock
from kernel.problems import Conflict
from payments import differences, reconciliation, runtime
from payments.models import Difference
from payments.reconciliation.models import ReconRun
from payments.reconciliation.states import RunState
from payments.settings import PaymentSettings

DAY = date(2026, 11, 18)


class Channel:
    channel = "wechat"
    statements = object()


@pytest.fixture
async def desk(database, frozen_clock, monkeypatch):
    @asynccontextmanager
    async def already_open():
        yield

    monkeypatch.setattr(reconcile, "opened", already_open)
    runtime.use(PaymentSettings(), {"wechat": Channel()})
    yield
    runtime.use(PaymentSettings(), {})


async def typed(*words: str) -> int:
    arguments = commands.parser().parse_args(["reconcile", *words])
    return int(await arguments.run(arguments) or 0)


async def a_day(state: str = RunState.MATCHED) -> None:
    for kind in ("trade", "fund"):
        await ReconRun.create(
            channel="wechat", day_on=DAY, kind=kind, state=state, line_count=2, matched_count=2, paid_fen=2000
        )


async def a_difference() -> int:
    await differences.record(
        "LOCAL_ONLY", "P1", channel="wechat", payment_no="P1", ours_fen=1000, detail="账单没有", day_on=DAY
    )
    return (await Difference.get()).id


async def test_a_day_is_compared_and_told(desk, monkeypatch, capsys):
    asked = []

    async def compared(**wanted):
        asked.append((wanted["channel"], wanted["day"], wanted["again"]))
        await a_day()
        return await ReconRun.all()

    monkeypatch.setattr(reconciliation, "reconcile", compared)
    assert await typed("--day", "2026-11-18", "--channel", "wechat", "--again") == 0
    assert asked == [("wechat", DAY, True)]
    assert "对平，待签字" in capsys.readouterr().out


async def test_what_is_not_done_is_exit_code_1(desk, monkeypatch):
    async def compared(**_):
        await a_day(RunState.FAILED)
        return await ReconRun.all()

    monkeypatch.setattr(reconciliation, "reconcile", compared)
    assert await typed("--day", "2026-11-18") == 1


async def test_today_and_unknown_channels_are_refused(desk):
    with pytest.raises(Refused, match="昨天"):
        await typed("--day", clock.today().isoformat())
    with pytest.raises(Refused, match="alipay"):
        await typed("--day", "2026-11-18", "--channel", "alipay")


async def test_the_clerks_morning(desk, tmp_path, capsys):
    await a_day(RunState.DIFFS_OPEN)
    number = str(await a_difference())
    assert await typed("list") == 0
    told = capsys.readouterr().out
    assert "！" + number in told and "短款" in told and "我方 10.00" in told and "1 条差异等待处理" in told
    await typed("resolve", number, "--clerk", "张会计", "--assign", "王会计")
    await typed("resolve", number, "--clerk", "张会计", "--note", "银行确认未扣款")
    assert "须另一人" in capsys.readouterr().out
    with pytest.raises(Refused, match="--note"):
        await typed("resolve", number, "--clerk", "李主任")
    await typed("resolve", number, "--clerk", "李主任", "--refuse")
    await typed("resolve", number, "--clerk", "张会计", "--note", "银行确认未扣款，函件 3 号")
    await typed("resolve", number, "--clerk", "李主任", "--approve")
    await typed("show", number)
    assert "经办 张会计，复核 李主任" in capsys.readouterr().out
    await typed("show", "--day", "2026-11-18", "--channel", "wechat")
    assert "函件 3 号" not in capsys.readouterr().err
    for who in ("张会计", "李主任"):
        await typed("sign", "--day", "2026-11-18", "--channel", "wechat", "--clerk", who)
    assert "当日关账" in capsys.readouterr().out
    to = tmp_path / "对账.xlsx"
    await typed("export", "--day", "2026-11-18", "--channel", "wechat", "--to", str(to))
    assert to.read_bytes()[:2] == b"PK"
    with pytest.raises(Refused, match="xlsx"):
        await typed("export", "--day", "2026-11-18", "--channel", "wechat", "--to", str(tmp_path / "x.pdf"))
    with pytest.raises(Refused, match="写不了"):
        await typed("export", "--day", "2026-11-18", "--channel", "wechat", "--to", str(tmp_path / "no" / "x.csv"))
    with pytest.raises(Conflict):
        await typed("sign", "--day", "2026-11-18", "--channel", "wechat", "--clerk", "王")


async def test_show_needs_a_number_or_a_day(desk):
    with pytest.raises(Refused, match="--day"):
        await typed("show")


async def test_doctor_tells_of_late_files_and_critical_differences(desk, frozen_clock):
    async def told() -> str:
        return (await readiness.waiting())["对账"]

    assert await told() == "ok"
    await a_day()
    assert await told() == "ok"
    await a_difference()
    assert "1 条严重差异" in await told()
    await Difference.all().update(state="carried")
    assert await told() == "ok"
    frozen_clock.advance(days=2)
    assert "最后对到 2026-11-18" in await told()
    await ReconRun.create(
        channel="wechat", day_on=DAY + timedelta(days=1), kind="trade", state=RunState.FAILED, reason="bad-hash"
    )
    assert "2026-11-19 的账单没有对完（账单不可用，将重试 bad-hash）" in await told()
