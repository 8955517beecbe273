"""What the slice does with the news of others: exactly the events it subscribes to, repeated or foreign ones included."""

import pytest

from backend.delivery import handlers
from backend.delivery.models import Parcel
from kernel import db, outbox
from tests.backend.delivery.world import news, run

HANDLERS = {topic.name: topic.handler for topic in handlers.TOPICS}


async def tell(event: str, payload: dict) -> None:
    """The fan-out of the floor: a row for every subscriber."""
    for topic in handlers.SUBSCRIPTIONS[event]:
        async with db.transaction():
            await outbox.publish(topic, key=f"{topic}|{event}:{payload}"[:80], payload=payload)
        await run(topic, HANDLERS[topic])


async def state(parcel) -> str:
    return (await Parcel.get(id=parcel.id)).state


async def test_paid_and_granted_lead_to_a_booking(world) -> None:
    parcel = await world.planned(await world.citizen())
    await tell("bill.paid", {"bill_no": parcel.bill_no, "subject": f"case:{parcel.case_no}", "kind": "delivery"})
    await tell("case.granted", {"case_no": parcel.case_no})
    await run("delivery.order", HANDLERS["delivery.order"])
    assert await state(parcel) == "BOOKED"


async def test_the_fee_of_the_matter_is_not_the_fee_of_the_parcel(world) -> None:
    parcel = await world.planned(await world.citizen())
    await tell("case.granted", {"case_no": parcel.case_no})
    await tell("bill.paid", {"bill_no": parcel.bill_no, "subject": f"case:{parcel.case_no}", "kind": "administrative"})
    assert await news("delivery.order") == []


@pytest.mark.parametrize("case_state", ["NOT_ACCEPTED", "REFUSED", "RETURNED", "VOID"])
async def test_an_end_without_a_result_cancels(world, case_state) -> None:
    parcel = await world.planned(await world.citizen())
    await tell("case.refused", {"case_no": parcel.case_no, "state": case_state})
    assert await state(parcel) == "CANCELLED"


async def test_a_withdrawal_cancels_and_a_referral_does_not(world) -> None:
    one, two = await world.planned(await world.citizen()), await world.planned(await world.citizen())
    await tell("case.withdrawn", {"case_no": one.case_no, "data_version": 2})
    await tell("case.refused", {"case_no": two.case_no, "state": "REFERRED_UP"})
    assert (await state(one), await state(two)) == ("CANCELLED", "QUOTED")


async def test_news_about_cases_without_a_parcel_is_nothing(world) -> None:
    await tell("case.granted", {"case_no": "0" * 21})
    await tell("case.withdrawn", {"case_no": "0" * 21, "data_version": 1})
    await tell("bill.paid", {"bill_no": "X", "subject": "case:0", "kind": "delivery"})
    assert await Parcel.all().count() == 0
