"""A case that was given up is not handed to the office afterwards: not by a late first push, not by a clerk's resend."""

from backend.cases.models import Case
from backend.onewindow import forwarding
from tests.backend.onewindow.conftest import Platform, callback_url, parcels, platform, storage_folder, work
from tests.backend.onewindow.samples import Sample, submitted_case
from tests.wire.test_one_window import Work, hurry, publish, sent

__all__ = ["callback_url", "parcels", "platform", "storage_folder", "work"]


async def give_up(sample: Sample) -> None:
    """What the applicant's withdrawal leaves in the cases slice."""
    await Case.filter(case_no=sample.case_no).update(state="WITHDRAWN", data_version=2)
    await publish("case.withdrawn", sample, 2)


async def test_a_case_withdrawn_before_it_left_us_never_leaves_us(platform: Platform, work: Work) -> None:
    await platform.fault("serial.new", {"code": 500})
    sample = await submitted_case()
    await work()
    await give_up(sample)
    for _ in range(3):
        await hurry()
        await work()
    assert platform.requests("case.push") == []
    assert platform.requests("attach.put") == []
    assert [(await sent(sample, verb)).state for verb in ("case.push", "case.withdraw")] == ["acknowledged"] * 2


async def test_a_refused_push_is_not_sent_again_after_the_withdrawal(platform: Platform, work: Work) -> None:
    await platform.fault("case.push", {"reply": {"code": 300}})
    sample = await submitted_case()
    await work()
    await give_up(sample)
    await work()
    row = await sent(sample)
    assert row.state == "refused"
    await forwarding.resend(ref=row.ref, operator="李主任", reason="平台已修好")
    await work()
    assert len(platform.requests("case.push")) == 1
    assert (await sent(sample)).note == "申请人已撤回，没有报送"
