"""The courier at work: only his parcels, only masks, the code or the recorded exception, refusals, failures, the way back."""

import asyncio

import pytest

from backend.cases.models import Attachment
from backend.delivery import couriers, desk, queries, receipts, reviews
from backend.delivery.couriers import ExceptionReason, FailureReason
from backend.delivery.models import Handover, Parcel, ParcelEvent, Receipt, Review
from backend.delivery.states import Canonical
from backend.delivery.tracking import ingest
from kernel import db
from kernel.idempotency import Idempotency
from kernel.problems import Forbidden, Invalid, NotFound
from kernel.state_machine import IllegalTransition
from tests.backend.delivery.world import CITIZEN_ID, news, told


@pytest.fixture
async def door(world):
    citizen, courier = await world.citizen(), await world.courier("620981")
    return citizen, courier, await world.at_the_door(citizen, courier)


async def code_of(citizen, parcel) -> str:
    return (await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)).sign_code.code


async def exception(courier, parcel, photo: str, signature: str, id_last4: str = CITIZEN_ID[-4:]):
    return await couriers.hand_over_by_exception(
        actor=courier,
        waybill_no=parcel.waybill_no,
        reason=ExceptionReason.ELDERLY,
        id_last4=id_last4,
        photo=photo,
        signature=signature,
        idem=None,
    )


async def fail(courier, parcel, reason=FailureReason.NOBODY, photo=None):
    return await couriers.attempt_failed(
        actor=courier, waybill_no=parcel.waybill_no, reason=reason, photo=photo, idem=None
    )


async def test_pick_up_sends_it_out_and_opens_the_code(world) -> None:
    citizen, courier = await world.citizen(), await world.courier("620981")
    parcel = await world.booked(citizen)
    answer = await couriers.pick_up(actor=courier, waybill_no=parcel.waybill_no, idem=None)
    assert (answer.state, answer.status) == ("OUT_FOR_DELIVERY", "OUT_FOR_DELIVERY")
    assert [e.to_state for e in await ParcelEvent.filter(parcel_id=parcel.id).order_by("seq")] == [
        "BOOKED",
        "ASSIGNED",
        "PICKED_UP",
        "OUT_FOR_DELIVERY",
    ]
    assert len(await news("parcel.out_for_delivery")) == 1


async def test_the_right_code_delivers_with_a_signed_receipt(door) -> None:
    citizen, courier, parcel = door
    code = await code_of(citizen, parcel)
    answer = await couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code=code, idem=None)
    assert (answer.status, answer.status_label) == ("DELIVERED", "已送达")
    receipt = await Receipt.get(receipt_no=answer.receipt_no)
    assert receipts.verify(receipt.body, receipt.signature)
    assert not receipts.verify(receipt.body.replace("code", "window"), receipt.signature)
    assert await news("parcel.delivered") == [
        {"delivery_no": parcel.delivery_no, "case_no": parcel.case_no, "receipt_no": answer.receipt_no}
    ]
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    assert view.sign_code is None
    assert view.parcel.receipt.method == "code"
    assert view.parcel.finished


async def test_the_same_key_gives_the_first_answer_another_key_is_refused(door) -> None:
    citizen, courier, parcel = door
    code = await code_of(citizen, parcel)
    key = Idempotency(scope="courier:handover", key="k1", request_hash="h")
    first = await couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code=code, idem=key)
    again = await couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code=code, idem=key)
    assert again == first
    with pytest.raises(IllegalTransition):
        await couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code=code, idem=None)
    assert await Receipt.all().count() == 1


async def test_a_wrong_try_repeated_under_its_key_counts_once(door) -> None:
    citizen, courier, parcel = door
    wrong = f"{(int(await code_of(citizen, parcel)) + 1) % 1_000_000:06d}"
    key = Idempotency(scope="courier:handover", key="k1", request_hash="h")
    for _ in range(3):
        with pytest.raises(couriers.sign_code.WrongCode):
            await couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code=wrong, idem=key)
    assert (await Parcel.get(id=parcel.id)).code_tries == 1


async def test_ten_confirmations_at_once_deliver_once(door) -> None:
    citizen, courier, parcel = door
    code = await code_of(citizen, parcel)
    results = await asyncio.gather(
        *(couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code=code, idem=None) for _ in range(10)),
        return_exceptions=True,
    )
    assert sum(isinstance(r, couriers.CourierAnswer) for r in results) == 1
    assert all(isinstance(r, couriers.CourierAnswer | IllegalTransition) for r in results)
    assert len(await news("parcel.delivered")) == 1


async def test_ten_wrong_guesses_at_once_are_counted_one_by_one(door) -> None:
    citizen, courier, parcel = door
    wrong = f"{(int(await code_of(citizen, parcel)) + 1) % 1_000_000:06d}"
    results = await asyncio.gather(
        *(couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code=wrong, idem=None) for _ in range(10)),
        return_exceptions=True,
    )
    assert sum(isinstance(r, couriers.sign_code.WrongCode) for r in results) == 4
    assert sum(isinstance(r, couriers.sign_code.CodeLocked) for r in results) == 6
    assert (await Parcel.get(id=parcel.id)).code_tries == 5


async def test_another_courier_finds_nothing(world, door) -> None:
    citizen, _, parcel = door
    code = await code_of(citizen, parcel)
    for other in (await world.courier("620981"), await world.courier("620981", carrier="local")):
        with pytest.raises(NotFound):
            await couriers.hand_over(actor=other, waybill_no=parcel.waybill_no, code=code, idem=None)
        with pytest.raises(NotFound):
            await queries.courier_parcel(actor=other, waybill_no=parcel.waybill_no)
        assert (await queries.courier_parcels(actor=other, cursor=None, limit=20)).items == ()


async def test_a_citizen_is_no_courier(door) -> None:
    citizen, _, parcel = door
    with pytest.raises(Forbidden):
        await couriers.pick_up(actor=citizen, waybill_no=parcel.waybill_no, idem=None)
    with pytest.raises(Forbidden):
        await queries.courier_parcels(actor=citizen, cursor=None, limit=20)


async def test_no_code_before_going_out_and_none_after_a_cancellation(world) -> None:
    citizen, courier = await world.citizen(), await world.courier("620981")
    parcel = await world.booked(citizen)
    with pytest.raises(IllegalTransition):
        await couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code="000000", idem=None)
    await Parcel.filter(id=parcel.id).update(state="CANCELLED")
    for act in (couriers.pick_up, couriers.return_):
        with pytest.raises(IllegalTransition):
            await act(actor=courier, waybill_no=parcel.waybill_no, idem=None)


async def test_the_courier_sees_masks_and_the_address_only_in_his_hands(world, frozen_clock) -> None:
    citizen, courier = await world.citizen(), await world.courier("620981")
    parcel = await world.booked(citizen)
    before = await queries.courier_parcel(actor=courier, waybill_no=parcel.waybill_no)
    assert (before.recipient_name, before.recipient_phone, before.in_hands) == ("王**", "139****0001", False)
    assert "永丰" not in before.address
    await couriers.pick_up(actor=courier, waybill_no=parcel.waybill_no, idem=None)
    carried = await queries.courier_parcel(actor=courier, waybill_no=parcel.waybill_no)
    assert carried.address == "甘肃省酒泉市玉门市玉门镇永丰村3组18号"
    code = await code_of(citizen, parcel)
    await couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code=code, idem=None)
    after = await queries.courier_parcel(actor=courier, waybill_no=parcel.waybill_no)
    assert "永丰" not in after.address
    frozen_clock.advance(hours=25)
    with pytest.raises(NotFound):
        await queries.courier_parcel(actor=courier, waybill_no=parcel.waybill_no)


async def test_a_couriers_view_has_exactly_these_fields() -> None:
    assert set(queries.CourierParcel.__struct_fields__) == {
        "waybill_no",
        "recipient_name",
        "recipient_phone",
        "address",
        "in_hands",
        "state",
        "status",
        "status_label",
        "attempts",
        "code_locked",
        "changed_at",
    }


async def test_pages_by_key_show_each_parcel_once(world, frozen_clock) -> None:
    citizen, courier = await world.citizen(), await world.courier("620981")
    made = [await world.booked(citizen) for _ in range(5)]
    first = await queries.courier_parcels(actor=courier, cursor=None, limit=2)
    await world.booked(citizen)  # a new one arrives between two pages
    second = await queries.courier_parcels(actor=courier, cursor=first.next_cursor, limit=2)
    third = await queries.courier_parcels(actor=courier, cursor=second.next_cursor, limit=2)
    seen = [item.waybill_no for page in (first, second, third) for item in page.items]
    assert seen == [p.waybill_no for p in reversed(made)]
    assert third.next_cursor is None
    assert (await queries.courier_parcels(actor=courier, cursor="unknown", limit=2)).items == ()


async def test_the_exception_delivers_keeps_evidence_and_is_looked_at(world, door) -> None:
    citizen, courier, parcel = door
    photo, signature = await world.upload(courier, "1" * 64), await world.upload(courier, "2" * 64)
    answer = await exception(courier, parcel, photo, signature)
    assert answer.status == "DELIVERED"
    receipt = (await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)).parcel.receipt
    assert (receipt.method, receipt.evidence_hashes) == ("exception", ("1" * 64, "2" * 64))
    assert [r.kind for r in await Review.all()] == ["exception"]
    assert [e["material_id"] for e in (await Handover.get()).evidence] == [photo, signature]
    kept = await Attachment.all()
    assert all(a.since_version == a.until_version for a in kept) and len(kept) == 2


async def test_wrong_digits_count_and_lock_and_leave_nothing_delivered(world, door) -> None:
    _, courier, parcel = door
    photo, signature = await world.upload(courier), await world.upload(courier)
    for _ in range(4):
        with pytest.raises(couriers.DigitsWrong):
            await exception(courier, parcel, photo, signature, id_last4="9999")
    for digits in ("9999", CITIZEN_ID[-4:]):
        with pytest.raises(couriers.DigitsLocked):
            await exception(courier, parcel, photo, signature, id_last4=digits)
    assert (await Parcel.get(id=parcel.id)).state == "OUT_FOR_DELIVERY"
    assert await Attachment.all().count() == 0


async def test_the_digit_x_is_taken_in_either_case(world, door) -> None:
    _, courier, parcel = door
    photo, signature = await world.upload(courier), await world.upload(courier)
    assert CITIZEN_ID.endswith("X")
    assert (await exception(courier, parcel, photo, signature, CITIZEN_ID[-4:].lower())).status == "DELIVERED"


async def test_the_exception_needs_photo_and_signature_of_ones_own(world, door) -> None:
    citizen, courier, parcel = door
    mine, other = await world.upload(courier), await world.upload(citizen)
    for photo, signature in (("", mine), (mine, ""), (mine, mine), (mine, other), (mine, "nonsense")):
        with pytest.raises(Invalid):
            await exception(courier, parcel, photo, signature)
    with pytest.raises(Invalid):
        await exception(courier, parcel, mine, await world.upload(courier), id_last4="12a4")
    assert (await Parcel.get(id=parcel.id)).state == "OUT_FOR_DELIVERY"
    assert await Attachment.all().count() == 0


async def test_a_clerk_accepts_an_exception_or_reopens_the_parcel(world, door) -> None:
    citizen, courier, parcel = door
    await exception(courier, parcel, await world.upload(courier), await world.upload(courier))
    (review,) = await reviews.list_reviews()
    state = await reviews.resolve_review(review_no=review.review_no, accept=False, clerk="李主任", note="签名不是本人")
    assert state == "HELD"
    assert (await Receipt.get()).revoked_at is not None
    assert await reviews.list_reviews() == []
    with pytest.raises(reviews.ReviewClosed):
        await reviews.resolve_review(review_no=review.review_no, accept=True, clerk="李主任", note="x")
    await couriers.pick_up(actor=courier, waybill_no=parcel.waybill_no, idem=None)
    code = await code_of(citizen, parcel)
    await couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code=code, idem=None)
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    assert view.parcel.receipt.method == "code"


async def test_three_failed_attempts_hold_the_parcel(door) -> None:
    _, courier, parcel = door
    for state in ("ATTEMPT_FAILED", "ATTEMPT_FAILED", "HELD"):
        assert (await fail(courier, parcel)).state == state
        if state != "HELD":
            await couriers.pick_up(actor=courier, waybill_no=parcel.waybill_no, idem=None)
    assert (await Parcel.get(id=parcel.id)).attempts == 3


async def test_courier_and_carrier_tell_of_the_same_visit_once(door) -> None:
    _, courier, parcel = door
    await fail(courier, parcel)
    async with db.transaction():
        await ingest([told(parcel, "704", Canonical.ATTEMPT_FAILED, 1)])
    row = await Parcel.get(id=parcel.id)
    assert (row.state, row.attempts) == ("ATTEMPT_FAILED", 1)


async def test_a_refusal_needs_a_photo_and_goes_back_to_the_window(world, door) -> None:
    citizen, courier, parcel = door
    with pytest.raises(Invalid):
        await fail(courier, parcel, FailureReason.REFUSED)
    assert (
        await fail(courier, parcel, FailureReason.REFUSED, await world.upload(courier))
    ).status == "REFUSED_BY_RECEIVER"
    back = await couriers.return_(actor=courier, waybill_no=parcel.waybill_no, idem=None)
    assert back.state == "RETURNING"
    await desk.window_return(waybill_no=parcel.waybill_no, clerk="李主任")
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    assert (view.parcel.status, view.sign_code) == ("RETURNED_TO_WINDOW", None)
    receipt_no = await desk.window_pickup(case_no=parcel.case_no, clerk="李主任", id_last4=CITIZEN_ID[-4:])
    assert (await Receipt.get(receipt_no=receipt_no)).parcel_id == parcel.id
    assert (await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)).parcel.status == "COLLECTED"
