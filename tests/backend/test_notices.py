"""What a citizen is told, and that it is told once: each change of state, each payment, each step of a parcel."""

import notifications
from backend import notices
from backend.cases import corrections, progress, service
from backend.cases.ports import Outcome, Shortcoming
from backend.cases.screening import MaterialChoice
from kernel import db, outbox
from kernel.worker import Worker
from notifications import Addresses, handlers
from tests.backend.cases.conftest import world

__all__ = ["world"]  # the fixture, for pytest


class Nobody:
    """A directory in which nobody has a WeChat address: messages stay in the app's inbox."""

    async def addresses(self, recipient_ref: str) -> Addresses:
        return Addresses()


def worker() -> Worker:
    heard = {event: names for event, names in notices.SUBSCRIPTIONS.items() if event.startswith(("case.", "bill."))}
    silent = dict.fromkeys(("case.ready", "case.corrected", "case.withdrawn", "case.granted", "case.refused"), ())
    return Worker(topics=[*notices.TOPICS, *handlers.TOPICS], subscriptions={**silent, **heard})


async def inbox(world) -> list[str]:
    settings = notifications.NotificationSettings()
    notifications.configure(settings=settings, directory=Nobody(), wechat=None, push_configured=False)
    await worker().run_until_idle()
    page = await notifications.inbox_page(recipient_ref=world.citizen.account_ref, limit=50)
    return [message.text for message in reversed(page.messages)]


async def test_a_submission_is_confirmed_and_says_what_is_to_be_paid(world):
    case_no = await world.submitted()
    told = await inbox(world)
    assert any("已提交" in text for text in told)
    assert any("¥10.00" in text for text in told)
    assert all(case_no in text for text in told)


async def test_running_again_tells_nothing_twice(world):
    await world.submitted()
    assert await inbox(world) == await inbox(world)


async def test_a_correction_names_what_is_missing_and_until_when(world):
    case_no = await world.submitted()
    await corrections.ask_correction(
        case_no=case_no, source_ref="e1", at=world.at(1), items=[Shortcoming(material_code="IDCARD", problem="模糊")]
    )
    told = await inbox(world)
    assert any("身份证照片" in text and "前补齐" in text for text in told)


async def test_after_the_correction_the_words_are_not_those_of_the_first_submission(world):
    case_no = await world.submitted()
    await corrections.ask_correction(
        case_no=case_no, source_ref="e1", at=world.at(1), items=[Shortcoming(material_code="IDCARD", problem="模糊")]
    )
    world.clock.advance(minutes=5)
    answer = (MaterialChoice(code="IDCARD", material_ids=(await world.photo(),)),)
    await corrections.answer(actor=world.citizen, case_no=case_no, number=1, materials=answer)
    told = await inbox(world)
    assert sum("已补正" in text for text in told) == 1
    assert sum("已提交" in text for text in told) == 1


async def test_states_only_passed_through_are_not_announced(world):
    """A result straight after the submission implies acceptance and start; the person hears of the result alone."""
    case_no = await world.submitted()
    await progress.decide(
        case_no=case_no, source_ref="e9", at=world.at(1), outcome=Outcome.GRANTED, code="0", explain="准予", reason="",
        certificates=(), deliver=False,
    )  # fmt: skip
    told = await inbox(world)
    assert sum("准予" in text for text in told) == 1
    assert not any("办理中" in text or "已受理" in text for text in told)


async def test_a_withdrawal_is_confirmed(world):
    case_no = await world.submitted()
    await service.withdraw(actor=world.citizen, case_no=case_no, reason="", idem=None)
    assert any("已撤回" in text for text in await inbox(world))


async def test_the_neighbour_hears_nothing(world):
    await world.submitted()
    await inbox(world)
    page = await notifications.inbox_page(recipient_ref=world.neighbour.account_ref)
    assert page.messages == ()


async def test_what_is_told_lies_sealed_in_the_database(world):
    await world.submitted()
    await inbox(world)
    rows = await db.fetch("SELECT body_sealed FROM notifications_message")
    assert rows
    assert all("优待证" not in row["body_sealed"] for row in rows)


async def test_a_parcel_called_off_by_the_carrier_is_told_and_one_of_an_ended_case_is_not(world):
    granted, withdrawn = await world.submitted(), await world.submitted()
    await progress.decide(case_no=granted, source_ref="e9", at=world.at(9), outcome=Outcome.GRANTED, code="0")
    await service.withdraw(actor=world.citizen, case_no=withdrawn, reason="")
    async with db.transaction():
        for number, case_no in enumerate((granted, withdrawn)):
            await outbox.publish(
                "notices.parcel",
                key=f"notices.parcel|parcel.moved:{number}:2",
                payload={"delivery_no": "D", "case_no": case_no, "state": "CANCELLED", "status": "NONE"},
            )
    told = [text for text in await inbox(world) if "快递有新消息" in text]
    assert len(told) == 1
    assert granted in told[0] and "到窗口领取" in told[0]
