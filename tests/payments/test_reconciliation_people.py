"""What people do with a compared day: ending differences, two signatures, the exported report."""

import csv
import re
import zipfile
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import clock
from kernel.problems import Conflict, Invalid, NotFound
from payments import differences, reconciliation
from payments.models import Difference
from payments.reconciliation import exporting
from payments.reconciliation.models import ReconRun
from payments.reconciliation.resolving import SamePerson
from payments.reconciliation.states import CLASSES, RUN, RunState

DAY = date(2026, 11, 18)


@pytest.fixture
async def day(books):
    for kind in ("trade", "fund"):
        await ReconRun.create(
            channel="wechat", day_on=DAY, kind=kind, state=RunState.DIFFS_OPEN, line_count=3, matched_count=2,
            difference_count=1, paid_fen=3000, ours_fen=2000, fees_fen=-6, matched_at=clock.now(),
        )  # fmt: skip


async def difference(name: str = "CHANNEL_ONLY", key: str = "wechat:T1", **more) -> int:
    await differences.record(
        name, key, channel="wechat", payment_no="P1", theirs_fen=1000, detail="账单有", day_on=DAY, **more
    )
    return (await Difference.get(class_name=name, key=key)).id


async def test_where_money_moves_a_second_person_must_agree(day):
    number = await difference()
    assert (
        await reconciliation.resolve(difference_id=number, resolution="已在商户平台退回", actor="张会计") == "proposed"
    )
    with pytest.raises(SamePerson):
        await reconciliation.approve(difference_id=number, actor="张会计")
    with pytest.raises(SamePerson):
        await reconciliation.approve(difference_id=number, actor="  张会计 ")
    assert await reconciliation.approve(difference_id=number, actor="李主任") == "resolved"
    shown = await reconciliation.difference(number)
    assert (shown.resolved_by, shown.approved_by, shown.state_label) == ("张会计", "李主任", "已处理")
    with pytest.raises(Conflict):
        await reconciliation.resolve(difference_id=number, resolution="再来", actor="张会计")
    with pytest.raises(Conflict):
        await reconciliation.approve(difference_id=number, actor="王")


async def test_a_refused_proposal_is_open_again(day):
    number = await difference()
    await reconciliation.resolve(difference_id=number, resolution="不知道", actor="张会计")
    assert await reconciliation.approve(difference_id=number, actor="李主任", agree=False) == "open"
    assert (await reconciliation.difference(number)).resolution is None


async def test_where_no_money_moves_one_person_is_enough(day):
    number = await difference("FEE", "wechat:2026-11-18")
    assert (
        await reconciliation.resolve(difference_id=number, resolution="费率调整函 3 号", actor="张会计") == "resolved"
    )


@pytest.mark.parametrize(("note", "actor"), [("", "张会计"), ("  ", "张会计"), ("好", ""), ("好", " ")])
async def test_no_end_without_a_reason_and_a_name(day, note, actor):
    number = await difference()
    with pytest.raises(Invalid):
        await reconciliation.resolve(difference_id=number, resolution=note, actor=actor)
    with pytest.raises(NotFound):
        await reconciliation.resolve(difference_id=number + 1, resolution="好", actor="张会计")


async def test_an_unknown_class_is_treated_with_the_greatest_care(day):
    number = await difference("SOMETHING_NEW", "x")
    assert await reconciliation.resolve(difference_id=number, resolution="好", actor="张会计") == "proposed"


async def test_owner(day):
    number = await difference()
    assert (await reconciliation.difference(number)).owner == "财务"
    await reconciliation.assign(difference_id=number, owner="王会计")
    assert (await reconciliation.difference(number)).owner == "王会计"


async def sign(who: str) -> int:
    return await reconciliation.sign(channel="wechat", day=DAY, signer=who)


async def test_two_different_people_close_a_day(day):
    number = await difference()
    with pytest.raises(Conflict, match="wrong-state"):
        await sign("张会计")
    await reconciliation.resolve(difference_id=number, resolution="好", actor="张会计")
    with pytest.raises(Conflict):  # proposed is not finished
        await sign("张会计")
    await reconciliation.approve(difference_id=number, actor="李主任")
    assert await sign("张会计") == 1
    with pytest.raises(SamePerson):
        await sign("张会计")
    assert await sign("李主任") == 2
    assert {run.state for run in await ReconRun.all()} == {"closed"}
    with pytest.raises(Conflict):
        await sign("王")
    assert (await reconciliation.day_report(channel="wechat", day=DAY)).signers == ["张会计", "李主任"]


async def test_a_signature_under_another_report_does_not_count(day):
    assert await sign("张会计") == 1
    number = await difference("FEE", "wechat:2026-11-18")
    await reconciliation.resolve(difference_id=number, resolution="好", actor="王")
    assert await sign("李主任") == 1  # the first signature was under a report without this row
    assert await sign("张会计") == 2


@pytest.mark.parametrize("state", [s for s in RunState if s not in ("matched", "diffs_open", "closed")])
async def test_a_day_that_was_not_compared_cannot_be_signed(day, state):
    await ReconRun.filter(kind="fund").update(state=state)
    with pytest.raises(Conflict):
        await sign("张会计")


async def test_a_day_without_runs_cannot_be_signed(books):
    with pytest.raises(NotFound):
        await sign("张会计")


async def test_carried_differences_do_not_keep_a_day_open(day):
    await difference("LOCAL_ONLY", "P1", state="carried")
    assert await sign("张会计") == 1


NASTY = '=HYPERLINK("http://x","y")'


async def exported(tmp_path, ending: str):
    await difference()
    await Difference.filter(key="wechat:T1").update(resolution=NASTY, owner="+SUM(1)")
    to = tmp_path / f"day{ending}"
    assert await reconciliation.export(channel="wechat", day=DAY, to=to) == 1
    return to


async def test_csv(day, tmp_path):
    to = await exported(tmp_path, ".csv")
    assert to.read_bytes().startswith(b"\xef\xbb\xbf")
    with to.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == exporting.RUN_HEADERS
    assert rows[1][:4] == ["微信支付", "2026-11-18", "交易账单", "有差异，待处理"]
    assert rows[1][9:] == ["30.00", "0.00", "-0.06", "20.00"]
    (line,) = [row for row in rows if len(row) > 3 and row[3] == "长款：渠道有、我方无"]
    assert (line[6], line[11], line[9]) == ("'+SUM(1)", "'" + NASTY, "10.00")


async def test_xlsx(day, tmp_path):
    to = await exported(tmp_path, ".xlsx")
    with zipfile.ZipFile(to) as book:
        sheets = [book.read(name).decode() for name in book.namelist() if name.startswith("xl/worksheets/sheet")]
        assert len(sheets) == 3
        text = "".join(sheets) + "".join(book.read(n).decode() for n in book.namelist() if "sharedStrings" in n)
    assert "<f>" not in text and "hyperlink" not in "".join(sheets)
    assert "长款：渠道有、我方无" in text and "&#39;=HYPERLINK" in text.replace("'=HYPERLINK", "&#39;=HYPERLINK")
    assert re.search(r"<v>10(\.00)?</v>", text)  # amounts are numbers


async def test_another_ending_and_another_day(day, tmp_path):
    with pytest.raises(ValueError, match="xlsx"):
        await reconciliation.export(channel="wechat", day=DAY, to=tmp_path / "x.pdf")
    with pytest.raises(NotFound):
        await reconciliation.export(channel="wechat", day=DAY - timedelta(days=1), to=tmp_path / "x.csv")


@given(st.text(max_size=20))
def test_no_cell_begins_like_a_formula(text):
    assert not exporting.safe(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))
    assert exporting.safe(text).removeprefix("'") == text.removeprefix("'") or exporting.safe(text) == f"'{text}"


async def test_standing(day):
    assert (await reconciliation.standing("wechat")).last_day == DAY
    await difference("LOCAL_ONLY", "P9")
    await ReconRun.create(
        channel="wechat", day_on=DAY - timedelta(days=2), kind="trade", state=RunState.FAILED, reason="bad-hash"
    )
    now = await reconciliation.standing("wechat")
    assert (now.critical, [run.reason for run in now.late]) == (1, ["bad-hash"])


def test_every_class_of_the_design_is_known():
    wanted = (
        "CHANNEL_ONLY LOCAL_ONLY AMOUNT_HIGH AMOUNT_LOW STATUS_OURS_UNPAID STATUS_OURS_PAID_THEIRS_NOT REFUND_CHANNEL_ONLY "
        "REFUND_LOCAL_ONLY REFUND_AMOUNT FEE DUPLICATE_LINE SETTLEMENT_SHORT SETTLEMENT_OVER RECEIPT_MISSING RECEIPT_NOT_REVERSED"
    )
    assert set(wanted.split()) <= set(CLASSES)


def test_a_run_has_no_way_around_its_states():
    ways = {(str(e.source), str(e.target)) for e in RUN.edges}
    assert not {(s, t) for s, t in ways if t == "parsed" and s != "fetched"}
    assert not {(s, t) for s, t in ways if t in ("matched", "diffs_open") and s not in ("parsed", "no_statement")}
    assert not {(s, t) for s, t in ways if t == "closed" and s not in ("matched", "diffs_open")}
    assert not {t for s, t in ways if s == "closed"}
