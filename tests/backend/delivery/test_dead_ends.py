"""Ways out: no parcel stays where nobody can move it, no order is forgotten, and the person is told what is true."""

from datetime import timedelta

import pytest

import payments
from backend import overview
from backend.cases.ports import DeliveryWish
from backend.delivery import booking, couriers, desk, queries, reviews
from backend.delivery.carriers.base import CarrierRefused, CarrierUnclear
from backend.delivery.carriers.ems_envelope import BadEnvelope, time_of
from backend.delivery.models import Parcel, Review
from backend.delivery.states import Canonical
from backend.delivery.tracking import ingest
from kernel import clock, db, outbox
from kernel.models import OutboxRow
from kernel.problems import Conflict
from tests.backend.delivery.world import CITIZEN_ID, run, told

LAST4 = CITIZEN_ID[-4:]


async def order(parcel: Parcel) -> Parcel:
    await run(booking.ORDER, booking.place_order)
    return await Parcel.get(id=parcel.id)


async def tell(*events) -> None:
    async with db.transaction():
        await ingest(events)


async def bill_of(parcel: Parcel) -> str:
    (bill,) = await payments.bills_of(f"case:{parcel.case_no}")
    return bill.status


async def test_what_the_carrier_called_off_is_collected_at_the_window_and_costs_nothing(world) -> None:
    parcel = await world.booked(await world.citizen())
    await tell(told(parcel, "O_011", Canonical.CANCELLED, 1))
    assert (await Parcel.get(id=parcel.id)).state == "CANCELLED"
    await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=LAST4)
    assert (await Parcel.get(id=parcel.id)).state == "COLLECTED"
    assert await bill_of(parcel) == "cancelled"


async def test_the_owner_of_a_called_off_parcel_is_told_to_fetch_it(world) -> None:
    parcel = await world.booked(await world.citizen())
    await tell(told(parcel, "O_011", Canonical.CANCELLED, 1))
    (summary,) = await queries.parcels_of(parcel.case_no)
    found = overview.parcel_action((summary,), granted=True)
    assert found is not None
    assert found.action == "collect"
    assert f"请带身份证到{summary.window_name}领取" in found.text
    assert overview.parcel_action(await queries.parcels_of(parcel.case_no), granted=False) is None


async def test_nothing_is_collected_of_a_case_that_ended(world) -> None:
    parcel = await world.booked(await world.citizen())
    await booking.cancel_for_case(case_no=parcel.case_no, reason="void")
    await run(booking.RECALL, booking.recall)
    assert (await Parcel.get(id=parcel.id)).state == "CANCELLED"
    with pytest.raises(Conflict):
        await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=LAST4)


async def test_wrong_digits_at_the_door_do_not_lock_the_window(world) -> None:
    citizen = await world.citizen()
    parcel = await world.planned(citizen, DeliveryWish(way="pickup"))
    await booking.note_granted(case_no=parcel.case_no)
    code = (await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)).sign_code.code
    await Parcel.filter(id=parcel.id).update(id_tries=5)
    with pytest.raises(couriers.DigitsWrong):
        await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4="0000", code=code)
    assert await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=LAST4, code=code)


async def reordered(world) -> Parcel:
    """A parcel whose first order was refused and whose second is under way with an unknown outcome."""
    parcel = await world.planned(await world.citizen())
    await booking.note_paid(bill_no=parcel.bill_no)
    await booking.note_granted(case_no=parcel.case_no)
    world.carrier.script = [CarrierRefused("20001", "地址不完整"), "lost"]
    parcel = await order(parcel)
    assert parcel.state == "BOOK_FAILED"
    await booking.order_again(delivery_no=parcel.delivery_no, clerk="李主任")
    with pytest.raises(CarrierUnclear):
        await order(parcel)
    return parcel


async def test_a_second_order_under_way_is_found_and_called_off(world) -> None:
    parcel = await reordered(world)
    await booking.cancel_for_case(case_no=parcel.case_no, reason="void")
    await order(parcel)
    await run(booking.RECALL, booking.recall)
    assert world.carrier.cancelled == {world.carrier.waybill(parcel.delivery_no)}
    assert ((await Parcel.get(id=parcel.id)).state, await bill_of(parcel)) == ("CANCELLED", "cancelled")


async def test_nothing_is_collected_while_a_second_order_is_under_way(world) -> None:
    parcel = await reordered(world)
    with pytest.raises(Conflict):
        await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=LAST4)
    assert (await order(parcel)).state == "BOOKED"


async def test_the_waybill_of_a_second_order_can_be_entered_by_hand(world) -> None:
    parcel = await reordered(world)
    await booking.adopt_waybill(delivery_no=parcel.delivery_no, waybill_no="1100000000009", clerk="李主任")
    assert (await order(parcel)).waybill_no == "1100000000009"


async def test_an_order_that_was_given_up_and_revived_is_still_known_as_sent(world) -> None:
    parcel = await world.planned(await world.citizen())
    await booking.note_paid(bill_no=parcel.bill_no)
    await booking.note_granted(case_no=parcel.case_no)
    world.carrier.script = ["lost"]
    with pytest.raises(CarrierUnclear):
        await order(parcel)
    row = await OutboxRow.get(topic=booking.ORDER)
    await OutboxRow.filter(id=row.id).update(state=outbox.DEAD)
    await booking.cancel_for_case(case_no=parcel.case_no, reason="void")
    assert await outbox.revive(row.id)
    await order(parcel)
    await run(booking.RECALL, booking.recall)
    assert world.carrier.cancelled == {world.carrier.waybill(parcel.delivery_no)}


async def test_an_order_that_nobody_sent_yet_is_simply_dropped(world) -> None:
    parcel = await world.planned(await world.citizen())
    await booking.note_paid(bill_no=parcel.bill_no)
    await booking.note_granted(case_no=parcel.case_no)
    await booking.cancel_for_case(case_no=parcel.case_no, reason="void")
    assert ((await order(parcel)).state, world.carrier.calls) == ("CANCELLED", [])


async def test_a_parcel_picked_up_before_it_could_be_called_off_is_shown_to_a_person(world) -> None:
    parcel = await world.booked(await world.citizen())
    await booking.cancel_for_case(case_no=parcel.case_no, reason="void")
    await tell(told(parcel, "203", Canonical.PICKED_UP, 1))
    await run(booking.RECALL, booking.recall)
    assert [r.kind for r in await Review.all()] == ["cancel_too_late"]


async def test_a_waybill_that_belongs_to_another_parcel_goes_to_a_person(world) -> None:
    first = await world.booked(await world.citizen())
    parcel = await world.planned(await world.citizen())
    await booking.note_paid(bill_no=parcel.bill_no)
    await booking.note_granted(case_no=parcel.case_no)
    world.carrier.waybill = lambda delivery_no: first.waybill_no
    assert (await order(parcel)).state == "QUOTED"
    assert [r.kind for r in await Review.all()] == ["booking_unclear"]
    assert await OutboxRow.filter(topic=booking.ORDER, state=0).count() == 0


async def test_a_parcel_that_is_under_way_again_is_asked_about_again(world) -> None:
    courier = await world.courier("620981")
    citizen = await world.citizen()
    parcel = await world.at_the_door(citizen, courier)
    photo, signature = await world.upload(courier), await world.upload(courier)
    await couriers.hand_over_by_exception(
        actor=courier, waybill_no=parcel.waybill_no, reason=couriers.ExceptionReason.NO_PHONE, id_last4=LAST4,
        photo=photo, signature=signature, idem=None,
    )  # fmt: skip
    assert (await Parcel.get(id=parcel.id)).poll_at is None
    (review,) = await reviews.list_reviews()
    await reviews.resolve_review(review_no=review.review_no, accept=False, clerk="李主任", note="不是本人")
    row = await Parcel.get(id=parcel.id)
    assert (row.state, row.poll_at is not None) == ("HELD", True)


@pytest.mark.parametrize("text", ["0001-01-01 00:00:00", "1970-01-01 00:00:00", "9999-12-31 23:59:59", "明天"])
def test_a_time_that_cannot_be_is_no_time(text) -> None:
    """0001-01-01 is what a .NET program writes for "none"; as an instant it lies before every calendar."""
    with pytest.raises(BadEnvelope):
        time_of(text)


def test_an_ordinary_time_is_one() -> None:
    assert time_of("2026-11-20 10:00:00") - timedelta(0) == clock.local(time_of("2026-11-20 10:00:00"))
