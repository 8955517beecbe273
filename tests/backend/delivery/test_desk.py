"""The window and the dispatcher: who carries a parcel, collecting with code and ID, and what neither may do."""

import pytest

import payments
from backend.cases.ports import DeliveryWish
from backend.delivery import assignment, booking, couriers, desk, queries, sign_code
from backend.delivery.carriers.base import CarrierUnclear
from backend.delivery.models import Parcel, ParcelEvent
from backend.identity.models import FieldWorker
from kernel.problems import Conflict, Invalid, NotFound
from kernel.state_machine import IllegalTransition
from tests.backend.delivery.world import CITIZEN_ID, news, run

LAST4 = CITIZEN_ID[-4:]


async def login_of(actor) -> str:
    return (await FieldWorker.get(ref=actor.account_ref)).login_name


@pytest.fixture
async def waiting(world):
    citizen = await world.citizen()
    parcel = await world.planned(citizen, DeliveryWish(way="pickup"))
    await booking.note_granted(case_no=parcel.case_no)
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    return citizen, parcel, view.sign_code.code


async def test_collecting_with_code_and_id(waiting) -> None:
    citizen, parcel, code = waiting
    receipt_no = await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=LAST4, code=code)
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    assert (view.parcel.status, view.parcel.receipt.receipt_no) == ("COLLECTED", receipt_no)
    assert (await news("parcel.delivered"))[0]["receipt_no"] == receipt_no


async def test_wrong_code_or_id_hands_nothing_out_and_counts(waiting) -> None:
    _, parcel, code = waiting
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    with pytest.raises(sign_code.WrongCode):
        await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=LAST4, code=wrong)
    with pytest.raises(sign_code.WrongCode):
        await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=LAST4)
    with pytest.raises(couriers.DigitsWrong):
        await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4="0000", code=code)
    row = await Parcel.get(id=parcel.id)
    assert (row.state, row.code_tries, row.id_tries) == ("WAITING_PICKUP", 2, 1)


async def test_without_a_phone_the_id_alone_counts_and_the_record_says_so(waiting) -> None:
    citizen, parcel, _ = waiting
    await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=LAST4, code="none")
    assert (await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)).parcel.status == "COLLECTED"


async def test_nothing_to_collect_before_the_result_or_twice_or_nameless(world, waiting) -> None:
    _, parcel, code = waiting
    early = await world.planned(await world.citizen(), DeliveryWish(way="pickup"))
    with pytest.raises(Conflict):
        await desk.window_pickup(case_no=early.case_no, clerk="李主任", id_last4=LAST4)
    with pytest.raises(Invalid):
        await desk.window_pickup(case_no=parcel.case_no, clerk=" ", id_last4=LAST4, code=code)
    await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=LAST4, code=code)
    with pytest.raises(IllegalTransition):
        await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=LAST4, code=code)
    with pytest.raises(NotFound):
        await desk.window_pickup(case_no="0" * 21, clerk="李主任", id_last4=LAST4)


async def test_who_never_paid_for_mail_may_collect_and_owes_nothing(world) -> None:
    citizen = await world.citizen()
    parcel = await world.planned(citizen)
    await booking.note_granted(case_no=parcel.case_no)
    await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=LAST4)
    (bill,) = await payments.bills_of(f"case:{parcel.case_no}")
    assert bill.status == "cancelled"
    await booking.note_paid(bill_no=parcel.bill_no)
    assert await news(booking.ORDER) == []


async def test_what_is_being_booked_cannot_be_collected(world) -> None:
    parcel = await world.planned(await world.citizen())
    await booking.note_granted(case_no=parcel.case_no)
    await booking.note_paid(bill_no=parcel.bill_no)
    world.carrier.script = ["lost"]
    with pytest.raises(CarrierUnclear):
        await run(booking.ORDER, booking.place_order)
    with pytest.raises(Conflict):
        await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=LAST4)


async def test_what_is_collected_before_it_was_ordered_is_not_ordered(world) -> None:
    parcel = await world.planned(await world.citizen())
    await booking.note_granted(case_no=parcel.case_no)
    await booking.note_paid(bill_no=parcel.bill_no)
    await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=LAST4)
    assert await run(booking.ORDER, booking.place_order) == 1
    assert world.carrier.calls == []


async def test_a_parcel_on_its_way_cannot_be_collected(world) -> None:
    courier = await world.courier("620981")
    parcel = await world.at_the_door(await world.citizen(), courier)
    with pytest.raises(IllegalTransition):
        await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=LAST4)


async def test_a_dispatcher_assigns_what_several_could_carry(world) -> None:
    one, two = await world.courier("620981"), await world.courier("620981")
    parcel = await world.booked(await world.citizen())
    (open_one,) = await assignment.parcels_without_courier()
    assert open_one.waybill_no == parcel.waybill_no
    assert "永丰" not in open_one.address_mask
    await assignment.assign_parcel(waybill_no=parcel.waybill_no, courier_login=await login_of(one), clerk="调度")
    assert await assignment.parcels_without_courier() == []
    await assignment.assign_parcel(waybill_no=parcel.waybill_no, courier_login=await login_of(two), clerk="调度")
    assert [p.waybill_no for p in (await queries.courier_parcels(actor=two, cursor=None, limit=9)).items] == [
        parcel.waybill_no
    ]
    assert (await queries.courier_parcels(actor=one, cursor=None, limit=9)).items == ()
    codes = [e.code for e in await ParcelEvent.filter(parcel_id=parcel.id).order_by("seq")]
    assert codes == ["accept_order", "assign", "reassign"]


async def test_a_parcel_is_in_one_couriers_hands_only(world) -> None:
    one = await world.courier("620981")
    parcel = await world.at_the_door(await world.citizen(), one)
    two = await world.courier("620981")
    with pytest.raises(assignment.InOtherHands):
        await assignment.assign_parcel(waybill_no=parcel.waybill_no, courier_login=await login_of(two), clerk="调度")
    await couriers.attempt_failed(
        actor=one, waybill_no=parcel.waybill_no, reason=couriers.FailureReason.MOVED, photo=None, idem=None
    )
    await assignment.assign_parcel(waybill_no=parcel.waybill_no, courier_login=await login_of(two), clerk="调度")
    with pytest.raises(NotFound):
        await couriers.pick_up(actor=one, waybill_no=parcel.waybill_no, idem=None)
    assert (await couriers.pick_up(actor=two, waybill_no=parcel.waybill_no, idem=None)).state == "OUT_FOR_DELIVERY"


async def test_wrong_assignments_are_refused(world) -> None:
    other = await world.courier("620981", carrier="local")
    mine = await world.courier("999999")
    parcel = await world.booked(await world.citizen())
    with pytest.raises(Invalid):
        await assignment.assign_parcel(waybill_no=parcel.waybill_no, courier_login=await login_of(other), clerk="调度")
    with pytest.raises(NotFound):
        await assignment.assign_parcel(waybill_no=parcel.waybill_no, courier_login="nobody", clerk="调度")
    with pytest.raises(NotFound):
        await assignment.assign_parcel(waybill_no="none", courier_login=await login_of(mine), clerk="调度")
    await Parcel.filter(id=parcel.id).update(state="RETURNED")
    with pytest.raises(Conflict):
        await assignment.assign_parcel(waybill_no=parcel.waybill_no, courier_login=await login_of(mine), clerk="调度")
