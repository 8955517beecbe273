"""Booking: both facts in any order, one waybill whatever happens to answers, cancelling before and too late after pick-up."""

import pytest

import payments
from backend.cases.ports import DeliveryWish
from backend.delivery import booking, handlers, queries
from backend.delivery.carriers.base import CarrierRefused, CarrierUnclear, OrderExists
from backend.delivery.models import Parcel, Review
from backend.delivery.states import Canonical
from backend.delivery.tracking import ingest
from kernel import db
from kernel.models import OutboxRow
from kernel.problems import Conflict
from tests.backend.delivery.world import news, run, told


async def ordered(parcel: Parcel, times: int = 1) -> Parcel:
    for _ in range(times):
        await run(booking.ORDER, booking.place_order)
    return await Parcel.get(id=parcel.id)


async def both(parcel: Parcel, *, paid_first: bool) -> None:
    facts = [lambda: booking.note_paid(bill_no=parcel.bill_no), lambda: booking.note_granted(case_no=parcel.case_no)]
    for fact in facts if paid_first else reversed(facts):
        assert not world_called(await news(booking.ORDER))
        await fact()


def world_called(orders: list[dict]) -> bool:
    return bool(orders)


@pytest.mark.parametrize("paid_first", [True, False])
async def test_booked_when_granted_and_paid_in_any_order(world, paid_first) -> None:
    parcel = await world.planned(await world.citizen())
    await both(parcel, paid_first=paid_first)
    parcel = await ordered(parcel)
    assert (parcel.state, parcel.waybill_no) == ("BOOKED", world.carrier.waybill(parcel.delivery_no))
    assert [n["state"] for n in await news("parcel.booked")] == ["BOOKED"]


async def test_repeated_news_books_once(world) -> None:
    parcel = await world.planned(await world.citizen())
    for _ in range(3):
        await booking.note_paid(bill_no=parcel.bill_no)
        await booking.note_granted(case_no=parcel.case_no)
    await ordered(parcel, times=3)
    assert world.carrier.calls == ["create"]


async def test_only_a_delivery_bill_counts(world) -> None:
    parcel = await world.planned(await world.citizen())
    await booking.note_granted(case_no=parcel.case_no)
    await booking.note_paid(bill_no="SOMEBODY-ELSES")
    assert handlers.SUBSCRIPTIONS["bill.paid"] == ("delivery.bill_paid",)
    assert await OutboxRow.filter(topic=booking.ORDER).count() == 0


async def test_a_lost_answer_is_asked_with_the_same_number_and_gives_one_waybill(world) -> None:
    parcel = await world.planned(await world.citizen())
    await both(parcel, paid_first=True)
    world.carrier.script = ["lost", CarrierUnclear("500"), None]
    for _ in range(2):
        with pytest.raises(CarrierUnclear):
            await ordered(parcel)
    parcel = await ordered(parcel)
    assert world.carrier.calls == ["create"] * 3
    assert list(world.carrier.orders) == [parcel.delivery_no]
    assert parcel.state == "BOOKED"


async def test_what_stays_unclear_is_shown_to_a_person_once(world) -> None:
    parcel = await world.planned(await world.citizen())
    await both(parcel, paid_first=True)
    world.carrier.script = [CarrierUnclear("500")] * 8
    for _ in range(8):
        with pytest.raises(CarrierUnclear):
            await ordered(parcel)
    assert [r.kind for r in await Review.all()] == ["booking_unclear"]
    assert (await Parcel.get(id=parcel.id)).state == "QUOTED"


async def test_an_order_the_carrier_knows_but_does_not_tell_goes_to_a_person_who_enters_the_waybill(world) -> None:
    parcel = await world.planned(await world.citizen())
    await both(parcel, paid_first=True)
    world.carrier.script = [OrderExists("duplicate")]
    with pytest.raises(OrderExists):
        await ordered(parcel)
    assert [r.kind for r in await Review.all()] == ["booking_unclear"]
    await booking.adopt_waybill(delivery_no=parcel.delivery_no, waybill_no="1100000000009", clerk="李主任")
    assert (await ordered(parcel)).waybill_no == "1100000000009"
    assert world.carrier.calls == ["create"]
    assert (await Review.get()).outcome == "accept"
    with pytest.raises(Conflict):
        await booking.adopt_waybill(delivery_no=parcel.delivery_no, waybill_no="1100000000009", clerk="李主任")


async def test_a_refused_order_may_be_ordered_again_by_a_clerk(world) -> None:
    parcel = await world.planned(await world.citizen())
    await both(parcel, paid_first=True)
    world.carrier.script = [CarrierRefused("20001", "地址不完整")]
    parcel = await ordered(parcel)
    assert parcel.state == "BOOK_FAILED"
    assert [r.kind for r in await Review.all()] == ["booking_failed"]
    await booking.order_again(delivery_no=parcel.delivery_no, clerk="李主任")
    assert (await ordered(parcel)).state == "BOOKED"
    with pytest.raises(Conflict):
        await booking.order_again(delivery_no=parcel.delivery_no, clerk="李主任")


async def refund_of(parcel: Parcel) -> str:
    (bill,) = await payments.bills_of(f"case:{parcel.case_no}")
    return bill.status


async def test_a_withdrawal_before_booking_sends_nothing_and_withdraws_the_bill(world) -> None:
    parcel = await world.planned(await world.citizen())
    await booking.cancel_for_case(case_no=parcel.case_no, reason="withdrawn")
    await booking.note_granted(case_no=parcel.case_no)
    await booking.note_paid(bill_no=parcel.bill_no)
    await ordered(parcel)
    assert world.carrier.calls == []
    assert (await Parcel.get(id=parcel.id)).state == "CANCELLED"
    assert await refund_of(parcel) == "cancelled"


async def test_a_withdrawal_between_intent_and_call_never_calls(world) -> None:
    parcel = await world.planned(await world.citizen())
    await both(parcel, paid_first=True)
    await booking.cancel_for_case(case_no=parcel.case_no, reason="withdrawn")
    assert (await ordered(parcel)).state == "CANCELLED"
    assert world.carrier.calls == []


async def test_a_withdrawal_while_the_outcome_is_unknown_finds_the_order_and_cancels_it(world) -> None:
    parcel = await world.planned(await world.citizen())
    await both(parcel, paid_first=True)
    world.carrier.script = ["lost"]
    with pytest.raises(CarrierUnclear):
        await ordered(parcel)
    await booking.cancel_for_case(case_no=parcel.case_no, reason="withdrawn")
    await ordered(parcel)
    await run(booking.RECALL, booking.recall)
    parcel = await Parcel.get(id=parcel.id)
    assert (parcel.state, world.carrier.cancelled) == ("CANCELLED", {parcel.waybill_no})


async def test_a_booked_parcel_is_cancelled_with_the_carrier(world) -> None:
    parcel = await world.booked(await world.citizen())
    await booking.cancel_for_case(case_no=parcel.case_no, reason="void")
    world.carrier.script = ["lost"]
    with pytest.raises(CarrierUnclear):
        await run(booking.RECALL, booking.recall)
    await run(booking.RECALL, booking.recall)
    assert (await Parcel.get(id=parcel.id)).state == "CANCELLED"
    assert await refund_of(parcel) == "cancelled"


async def test_after_pick_up_it_is_too_late_and_a_person_is_asked(world) -> None:
    parcel = await world.booked(await world.citizen())
    world.carrier.picked_up.add(parcel.waybill_no)
    await booking.cancel_for_case(case_no=parcel.case_no, reason="void")
    await run(booking.RECALL, booking.recall)
    assert (await Parcel.get(id=parcel.id)).state == "BOOKED"
    assert [r.kind for r in await Review.all()] == ["cancel_too_late"]


async def test_movement_after_our_cancellation_is_shown_and_moves_nothing(world, frozen_clock) -> None:
    parcel = await world.booked(await world.citizen())
    await booking.cancel_for_case(case_no=parcel.case_no, reason="void")
    await run(booking.RECALL, booking.recall)
    frozen_clock.advance(hours=1)
    async with db.transaction():
        await ingest([told(parcel, "305", Canonical.IN_TRANSIT)])
    assert (await Parcel.get(id=parcel.id)).state == "CANCELLED"
    assert [r.kind for r in await Review.all()] == ["moves_after_end"]


async def test_the_only_courier_of_the_place_gets_it(world) -> None:
    courier = await world.courier("620981")
    await world.courier("6201")
    await world.courier("620981", carrier="local")
    parcel = await world.booked(await world.citizen())
    assert (parcel.state, parcel.courier_ref) == ("ASSIGNED", courier.account_ref)


async def test_two_couriers_of_the_place_leave_it_to_the_dispatcher(world) -> None:
    await world.courier("620981")
    await world.courier("620981101000")
    parcel = await world.booked(await world.citizen())
    assert (parcel.state, parcel.courier_ref) == ("BOOKED", None)


async def test_the_carrier_gets_the_whole_address_and_no_word_of_the_certificate(world) -> None:
    parcel = await world.booked(await world.citizen())
    order = world.carrier.orders[parcel.delivery_no]
    assert order.receiver.whole_address == "甘肃省酒泉市玉门市玉门镇永丰村3组18号"
    assert (order.receiver.name, order.receiver.phone) == ("王秀英", "13900000001")
    assert order.sender.county == "玉门市"


async def test_a_result_for_the_window_waits_there_with_a_code(world) -> None:
    citizen = await world.citizen()
    parcel = await world.planned(citizen, DeliveryWish(way="pickup"))
    await booking.note_granted(case_no=parcel.case_no)
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    assert view.parcel.status == "WAITING_PICKUP"
    assert len(view.sign_code.code) == 6
