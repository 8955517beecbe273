"""What the person should do now is one thing, and it is the right one."""

from datetime import timedelta

import msgspec

from backend import overview
from backend.cases import corrections, details, service
from backend.cases.ports import Shortcoming
from backend.overview import next_action
from kernel import clock
from payments import bills_of
from payments.views import RefundView
from tests.backend.cases.conftest import world

__all__ = ["world"]  # the fixture, for pytest


async def action(world, case_no, *, parcels=(), forwarding=None):
    detail = await details.detail(actor=world.citizen, case_no=case_no)
    bills = tuple(await bills_of(f"case:{case_no}"))
    return next_action(detail, bills, parcels, forwarding)


async def test_a_draft_waits_to_be_submitted(world):
    assert (await action(world, await world.draft())).action == "submit"


async def test_an_unpaid_fee_comes_next_with_amount_and_date(world):
    found = await action(world, await world.submitted())
    assert found.action == "pay"
    assert "10.00" in found.text
    assert found.until_at is not None


async def test_a_correction_comes_before_everything_else(world):
    case_no = await world.submitted()
    await corrections.ask_correction(
        case_no=case_no, source_ref="e1", at=world.at(1), items=[Shortcoming(material_code="IDCARD", problem="模糊")]
    )
    found = await action(world, case_no)
    assert (found.action, found.target) == ("correct", "1")


async def test_an_expired_bill_tells_the_way_out(world):
    case_no = await world.submitted()
    world.clock.advance(days=31)
    assert (await action(world, case_no)).action == "withdraw"


async def test_nothing_is_left_to_do_after_a_withdrawal(world):
    case_no = await world.submitted()
    await service.withdraw(actor=world.citizen, case_no=case_no, reason="", idem=None)
    assert (await action(world, case_no)).action == "none"


async def test_while_the_platform_is_down_the_answer_says_what_happens_next(world):
    case_no = await world.submitted()
    detail = await details.detail(actor=world.citizen, case_no=case_no)
    found = next_action(detail, (), (), "已提交，正在送往窗口")
    assert (found.action, found.text) == ("wait", "已提交，正在送往窗口")


async def test_a_withdrawn_case_tells_nothing_about_forwarding(world, monkeypatch):
    case_no = await world.submitted()
    await service.withdraw(actor=world.citizen, case_no=case_no, reason="", idem=None)

    async def label(_):
        return "已提交，正在送往窗口"

    monkeypatch.setattr(overview.onewindow, "forwarding_label", label)
    found = await overview.case(actor=world.citizen, case_no=case_no)
    assert found.forwarding is None and found.next_action.text == "已撤回，没有需要您做的事"


async def test_a_payment_that_was_started_is_finished_before_another_bill_is_shown(world):
    case_no = await world.submitted()
    detail = await details.detail(actor=world.citizen, case_no=case_no)
    (fee,) = await bills_of(f"case:{case_no}")
    started = msgspec.structs.replace(fee, bill_no="B2", status="ongoing", next_step="可以继续支付同一笔订单")
    found = next_action(detail, (fee, started), (), None)
    assert (found.action, found.target, found.text) == ("wait_payment", "B2", "可以继续支付同一笔订单")
    assert found.until_at == fee.expires_at


async def test_money_owed_back_is_told_as_what_it_is(world):
    """Until the channel has proved it, nothing here may sound as if it had already gone."""
    case_no = await world.submitted()
    await service.withdraw(actor=world.citizen, case_no=case_no, reason="", idem=None)
    detail = await details.detail(actor=world.citizen, case_no=case_no)
    (fee,) = await bills_of(f"case:{case_no}")
    due = RefundView(
        refund_no="R", payment_no="P", amount_fen=1000, cause="withdrawal", cause_label="事项已撤回或未办成",
        status="refunding", label="正在退款", finished=False, next_step="款项正在原路退回", since_at=clock.now(),
    )  # fmt: skip
    owed = msgspec.structs.replace(fee, status="refunding", payable=False, refunds=[due])
    found = next_action(detail, (owed,), (), None)
    assert (found.action, found.target) == ("none", fee.bill_no)
    assert "退款处理中" in found.text and "10.00" in found.text and "已退还" not in found.text
    back = msgspec.structs.replace(due, status="refunded", finished=True)
    done = msgspec.structs.replace(owed, status="refunded", refunds=[back])
    assert "已退还 10.00 元" in next_action(detail, (done,), (), None).text


def test_the_story_is_in_order_even_when_partners_tell_whole_seconds():
    now = clock.now()
    lines = [
        overview.TimelineLine(at=now, track="case", text="a"),
        overview.TimelineLine(at=now - timedelta(milliseconds=400), track="case", text="b"),
        overview.TimelineLine(at=now - timedelta(hours=2), track="case", text="late"),
    ]
    ordered = overview._in_order(lines)
    assert [line.text for line in sorted(ordered, key=lambda line: line.at)] == ["late", "a", "b"]


async def test_an_expired_courier_fee_is_no_reason_to_give_the_matter_up(world):
    case_no = await world.submitted()
    detail = await details.detail(actor=world.citizen, case_no=case_no)
    (fee,) = await bills_of(f"case:{case_no}")
    paid = msgspec.structs.replace(fee, status="paid", payable=False)
    courier = msgspec.structs.replace(fee, kind="delivery", status="expired", payable=False)
    assert next_action(detail, (paid, courier), (), None).action == "wait"
    assert (
        next_action(detail, (msgspec.structs.replace(fee, status="expired", payable=False),), (), None).action
        == "withdraw"
    )
