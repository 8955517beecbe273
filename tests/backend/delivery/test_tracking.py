"""What carriers tell, through the database: copies, permutations, late and unknown lines, "signed", polling, callbacks."""

import random
from datetime import timedelta

import pytest

from backend.delivery import couriers, desk, queries, reviews, tracking
from backend.delivery.carriers.base import BadCallback, Callback, CarrierUnclear
from backend.delivery.models import Parcel, ParcelEvent, Review
from backend.delivery.states import STAGES, Canonical, ParcelState
from kernel import clock, db
from kernel.models import OutboxRow
from kernel.problems import NotFound
from tests.backend.delivery.world import CITIZEN_ID, news, run, told


async def ingest(*events) -> int:
    async with db.transaction():
        return await tracking.ingest(events)


async def state(parcel) -> str:
    return (await Parcel.get(id=parcel.id)).state


ROUTE = (
    ("305", Canonical.IN_TRANSIT, 1),
    ("405", Canonical.IN_TRANSIT, 2),
    ("702", Canonical.OUT_FOR_DELIVERY, 3),
    ("704", Canonical.ATTEMPT_FAILED, 4),
    ("702", Canonical.OUT_FOR_DELIVERY, 5),
    ("748", Canonical.SIGNED, 6),
    ("999", Canonical.UNKNOWN, 7),
)


@pytest.mark.parametrize("seed", range(6))
async def test_any_order_and_repetition_of_a_route_ends_alike_and_never_goes_back(world, seed) -> None:
    parcel = await world.booked(await world.citizen())
    start = clock.now()
    events = [told(parcel, code, what, start + timedelta(minutes=m)) for code, what, m in ROUTE]
    dice = random.Random(seed)
    arrived = events + dice.choices(events, k=5)
    dice.shuffle(arrived)
    stages = []
    for event in arrived:
        await ingest(event)
        stages.append(STAGES[ParcelState(await state(parcel))])
    assert stages == sorted(stages)
    row = await Parcel.get(id=parcel.id)
    assert (row.state, row.attempts) == ("OUT_FOR_DELIVERY", 1)
    assert await ParcelEvent.filter(parcel_id=parcel.id, by="carrier").count() == len(ROUTE)
    assert [r.kind for r in await Review.all()] == ["carrier_signed"]


async def test_unknown_codes_are_stored_and_move_nothing(world) -> None:
    citizen = await world.citizen()
    parcel = await world.booked(citizen)
    assert await ingest(told(parcel, "O_777", Canonical.UNKNOWN, 1, "交航空公司运输")) == 1
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    assert (view.events[-1].text, view.events[-1].moved, view.parcel.status) == ("交航空公司运输", False, "BOOKED")


async def test_the_carriers_words_are_sealed_in_the_database(world) -> None:
    parcel = await world.booked(await world.citizen())
    await ingest(told(parcel, "748", Canonical.SIGNED, 1, "签收人：王秀英"))
    stored = await db.fetch("SELECT * FROM delivery_parcel_event")
    assert "王秀英" not in str(stored)


async def test_out_for_delivery_by_the_carrier_opens_the_code_and_the_assigned_courier_may_hand_over(world) -> None:
    citizen, courier = await world.citizen(), await world.courier("620981")
    parcel = await world.booked(citizen)
    await ingest(told(parcel, "702", Canonical.OUT_FOR_DELIVERY, 1))
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    answer = await couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code=view.sign_code.code, idem=None)
    assert answer.status == "DELIVERED"


async def test_signed_without_code_is_a_question_not_a_delivery(world) -> None:
    citizen = await world.citizen()
    parcel = await world.booked(citizen)
    await ingest(told(parcel, "702", Canonical.OUT_FOR_DELIVERY, 1), told(parcel, "748", Canonical.SIGNED, 2))
    assert await state(parcel) == "OUT_FOR_DELIVERY"
    assert await news("parcel.delivered") == []
    assert [n["kind"] for n in await news("parcel.review_needed")] == ["carrier_signed"]
    (review,) = await reviews.list_reviews()
    after = await reviews.resolve_review(review_no=review.review_no, accept=True, clerk="李主任", note="已电话核实")
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    assert (after, view.parcel.receipt.method) == ("DELIVERED", "clerk")


async def test_a_clerk_may_find_that_it_was_not_delivered(world) -> None:
    parcel = await world.booked(await world.citizen())
    await ingest(told(parcel, "748", Canonical.SIGNED, 2))
    (review,) = await reviews.list_reviews()
    after = await reviews.resolve_review(
        review_no=review.review_no, accept=False, clerk="李主任", note="收件人没有收到"
    )
    assert (after, await news("parcel.delivered")) == ("BOOKED", [])


async def test_the_code_answers_the_question_of_signed(world) -> None:
    citizen, courier = await world.citizen(), await world.courier("620981")
    parcel = await world.at_the_door(citizen, courier)
    await ingest(told(parcel, "748", Canonical.SIGNED, 2))
    code = (await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)).sign_code.code
    await couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code=code, idem=None)
    assert await reviews.list_reviews() == []
    assert await ingest(told(parcel, "747", Canonical.SIGNED, 3)) == 1
    assert await reviews.list_reviews() == []


async def test_nothing_a_carrier_says_moves_a_delivered_parcel(world) -> None:
    citizen, courier = await world.citizen(), await world.courier("620981")
    parcel = await world.at_the_door(citizen, courier)
    code = (await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)).sign_code.code
    await couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code=code, idem=None)
    for number, canonical in enumerate(Canonical):
        await ingest(told(parcel, f"c{number}", canonical, 60 + number))
    assert await state(parcel) == "DELIVERED"
    assert await Review.all().count() == 0


@pytest.mark.parametrize(
    ("canonical", "after", "kind"),
    [
        (Canonical.LOST, "LOST", "lost"),
        (Canonical.RETURNED, "RETURNED", "returned"),
        (Canonical.CANCELLED, "CANCELLED", "carrier_cancelled"),
    ],
)
async def test_lost_returned_and_cancelled_by_the_carrier_ask_a_person(world, canonical, after, kind) -> None:
    parcel = await world.booked(await world.citizen())
    await ingest(told(parcel, "x", canonical, 1))
    assert (await state(parcel), [r.kind for r in await Review.all()]) == (after, [kind])


async def test_poll_asks_about_parcels_nobody_reported_on_and_not_about_the_others(world, frozen_clock) -> None:
    quiet, lively = await world.booked(await world.citizen()), await world.booked(await world.citizen())
    done = await world.planned(await world.citizen())
    await tracking.poll()
    assert await OutboxRow.filter(topic=tracking.TRACK).count() == 0
    frozen_clock.advance(minutes=239)
    await ingest(told(lively, "305", Canonical.IN_TRANSIT))
    frozen_clock.advance(minutes=2)
    await tracking.poll()
    await tracking.poll()
    assert [n["delivery_no"] for n in await news(tracking.TRACK)] == [quiet.delivery_no]
    world.carrier.tracks[quiet.waybill_no] = (told(quiet, "702", Canonical.OUT_FOR_DELIVERY),)
    await run(tracking.TRACK, tracking.ask_carrier)
    assert (await state(quiet), await state(done)) == ("OUT_FOR_DELIVERY", "QUOTED")


async def test_an_empty_or_unclear_track_changes_nothing(world, frozen_clock) -> None:
    parcel = await world.booked(await world.citizen())
    for answer in (None, CarrierUnclear("500")):
        frozen_clock.advance(minutes=300)
        await tracking.poll()
        world.carrier.script = [answer]
        await run(tracking.TRACK, tracking.ask_carrier)
        assert await state(parcel) == "BOOKED"
    assert world.carrier.calls.count("track") == 2


async def test_callbacks_are_stored_once_and_only_for_our_waybills(world) -> None:
    parcel = await world.booked(await world.citizen())
    event = told(parcel, "702", Canonical.OUT_FOR_DELIVERY, 1)
    world.carrier.parse_callback = lambda headers, raw: Callback(raw.decode(), "s", (event,))
    for _ in range(3):
        reply = await tracking.receive_callback(carrier="ems", headers={}, raw=b"message 1")
        assert reply.body == b"ok"
    assert await run("inbox.ems", tracking.handle_message) == 1
    assert await state(parcel) == "OUT_FOR_DELIVERY"
    stranger = Parcel(waybill_no="1199999999999")
    event = told(stranger, "702", Canonical.OUT_FOR_DELIVERY, 1)
    assert (await tracking.receive_callback(carrier="ems", headers={}, raw=b"message 2")).body == b"no"


async def test_a_forged_callback_leaves_no_trace(world) -> None:
    def refuse(headers, raw):
        raise BadCallback("wrong key")

    world.carrier.parse_callback = refuse
    reply = await tracking.receive_callback(carrier="ems", headers={}, raw=b"forged")
    assert (reply.status, reply.body) == (400, b"no")
    assert await OutboxRow.filter(topic="inbox.ems").count() == 0
    with pytest.raises(NotFound):
        await tracking.receive_callback(carrier="nobody", headers={}, raw=b"x")


async def test_a_parcel_lost_by_the_carrier_is_reported_by_the_window(world) -> None:
    citizen, courier = await world.citizen(), await world.courier("620981")
    parcel = await world.at_the_door(citizen, courier)
    await desk.report_lost(waybill_no=parcel.waybill_no, clerk="李主任")
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    assert view.parcel.status == "UNDELIVERABLE"
    assert [r.kind for r in await Review.all()] == ["lost"]
    assert CITIZEN_ID
