"""The sign code: derived, stored only as a hash, counted when wrong; and an attacker who may try what a courier may try."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.delivery import couriers, queries, service, sign_code
from backend.delivery.models import Parcel, Review
from backend.overview import parcel_action
from kernel import db
from kernel.problems import NotFound, Problem

KEY = "k" * 40
numbers = st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=26, max_size=26)


@given(numbers, st.integers(1, 4))
def test_six_digits_the_same_each_time(delivery_no: str, generation: int) -> None:
    code = sign_code.derive(delivery_no, generation, key=KEY)
    assert len(code) == 6 and code.isdigit()
    assert code == sign_code.derive(delivery_no, generation, key=KEY)


@given(numbers, numbers)
def test_the_stored_hash_says_nothing_without_the_key_and_fits_one_parcel_only(one: str, other: str) -> None:
    code = sign_code.derive(one, 1, key=KEY)
    stored = sign_code.code_hash(one, 1, code, key=KEY)
    assert code not in stored
    assert stored != sign_code.code_hash(one, 1, code, key="x" * 40)
    assert stored != sign_code.code_hash(one, 2, code, key=KEY)
    assert one == other or stored != sign_code.code_hash(other, 1, code, key=KEY)


def test_the_digits_are_spread_evenly() -> None:
    """A code an attacker could favour would make five tries worth more than five in a million."""
    first = [0] * 10
    for number in range(20_000):
        first[int(sign_code.derive(str(number), 1, key=KEY)[0])] += 1
    assert max(first) - min(first) < 300  # 6.7 standard deviations of an even spread


def test_a_thousand_couriers_guessing_all_day_find_next_to_nothing() -> None:
    """The attacker model: every courier guesses as much as hour, day and parcel limits allow, with the best strategy.

    Nothing tells a courier anything but "wrong", so the best strategy is any set of distinct codes. Each counted try hits
    with one in a million; a courier has at most 30 tries a day, whatever the number of parcels and renewals.
    """
    per_hour, per_day, dice = 10, 30, random.Random(7)
    hits = 0
    for _ in range(1_000):
        tries, hour_tries = 0, 0
        for _hour in range(24):
            hour_tries = 0
            while tries < per_day and hour_tries < per_hour:
                tries, hour_tries = tries + 1, hour_tries + 1
                hits += dice.randrange(1_000_000) == 0
        assert tries <= per_day
    assert per_day / 1_000_000 < 1e-4  # one courier, one day
    assert hits <= 2  # a thousand of them: 0.03 expected


async def code_of(citizen, parcel) -> str:
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    return view.sign_code.code


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


@pytest.fixture
async def door(world):
    citizen, courier = await world.citizen(), await world.courier("620981")
    return citizen, courier, await world.at_the_door(citizen, courier)


async def guess(courier, parcel, code: str):
    return await couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code=code, idem=None)


async def test_five_wrong_tries_lock_the_code_even_for_the_right_digits(door) -> None:
    citizen, courier, parcel = door
    code = await code_of(citizen, parcel)
    for left in (4, 3, 2, 1):
        with pytest.raises(sign_code.WrongCode) as refusal:
            await guess(courier, parcel, wrong(code))
        assert refusal.value.extra == {"tries_left": left}
    for attempt in (wrong(code), code, code):
        with pytest.raises(sign_code.CodeLocked):
            await guess(courier, parcel, attempt)
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    assert (view.sign_code, view.sign_code_locked, view.renewals_left) == (None, True, 3)


async def test_the_citizen_gets_three_new_codes_and_no_more(door) -> None:
    citizen, courier, parcel = door
    codes = [await code_of(citizen, parcel)]
    for _ in range(3):
        fresh = await service.new_sign_code(actor=citizen, delivery_no=parcel.delivery_no, idem=None)
        codes.append(fresh.code)
        assert fresh.tries_left == 5
    with pytest.raises(sign_code.NoMoreCodes):
        await service.new_sign_code(actor=citizen, delivery_no=parcel.delivery_no, idem=None)
    for old in set(codes[:-1]) - {codes[-1]}:
        with pytest.raises(sign_code.WrongCode):
            await guess(courier, parcel, old)
    assert (await guess(courier, parcel, codes[-1])).status == "DELIVERED"


async def test_nobody_else_sees_or_renews_a_code(world, door) -> None:
    _, courier, parcel = door
    stranger = await world.citizen()
    for actor in (stranger, courier):
        with pytest.raises(NotFound):
            await service.new_sign_code(actor=actor, delivery_no=parcel.delivery_no, idem=None)
        with pytest.raises(NotFound):
            await queries.parcel(actor=actor, delivery_no=parcel.delivery_no)


async def test_there_is_no_code_before_the_parcel_goes_out(world) -> None:
    citizen = await world.citizen()
    parcel = await world.booked(citizen)
    assert (await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)).sign_code is None
    with pytest.raises(sign_code.NoCode):
        await service.new_sign_code(actor=citizen, delivery_no=parcel.delivery_no, idem=None)


async def test_a_courier_is_limited_over_all_his_parcels_and_the_clock_frees_him(world, frozen_clock) -> None:
    citizen, courier = await world.citizen(), await world.courier("620981")
    parcels = [await world.at_the_door(citizen, courier) for _ in range(3)]
    tries = 0
    for parcel in parcels:
        code = await code_of(citizen, parcel)
        for _ in range(4):
            if tries < 10:
                with pytest.raises(sign_code.WrongCode):
                    await guess(courier, parcel, wrong(code))
                tries += 1
    code = await code_of(citizen, parcels[-1])
    with pytest.raises(sign_code.CourierSlowDown) as refusal:
        await guess(courier, parcels[-1], code)
    assert refusal.value.retry_after_seconds == 3600
    frozen_clock.advance(hours=1)
    assert (await guess(courier, parcels[-1], code)).status == "DELIVERED"


async def test_three_locked_parcels_of_one_courier_are_shown_to_his_supervisor(world, frozen_clock) -> None:
    citizen, courier = await world.citizen(), await world.courier("620981")
    for number in range(3):
        assert await Review.all().count() == 0
        parcel = await world.at_the_door(citizen, courier)
        code = await code_of(citizen, parcel)
        for _ in range(5):
            with pytest.raises((sign_code.WrongCode, sign_code.CodeLocked)):
                await guess(courier, parcel, wrong(code))
        if number == 1:
            frozen_clock.advance(hours=1)
    assert [r.kind for r in await Review.all()] == ["courier_guesses"]


async def test_digits_and_clear_codes_are_nowhere_in_the_database(door) -> None:
    citizen, _, parcel = door
    code = await code_of(citizen, parcel)
    row = (await db.fetch("SELECT * FROM delivery_parcel WHERE delivery_no = ?", parcel.delivery_no))[0]
    assert code not in {str(value) for value in row.values()}


async def test_failing_and_going_out_again_gives_no_fresh_tries(world, door) -> None:
    citizen, courier, parcel = door
    code = await code_of(citizen, parcel)
    for _ in range(3):
        with pytest.raises(sign_code.WrongCode):
            await guess(courier, parcel, wrong(code))
    await couriers.attempt_failed(
        actor=courier, waybill_no=parcel.waybill_no, reason=couriers.FailureReason.NOBODY, photo=None, idem=None
    )
    await couriers.pick_up(actor=courier, waybill_no=parcel.waybill_no, idem=None)
    row = await Parcel.get(id=parcel.id)
    assert (row.code_generation, row.code_tries) == (1, 3)
    assert await code_of(citizen, parcel) == code


async def test_a_locked_code_is_told_to_its_owner_with_the_way_out(door):
    citizen, courier, parcel = door
    code = await code_of(citizen, parcel)
    for _ in range(sign_code.TRIES):
        with pytest.raises(Problem):
            await guess(courier, parcel, wrong(code))
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    assert (view.sign_code, view.sign_code_locked, view.renewals_left) == (None, True, 3)
    found = parcel_action((view.parcel,), granted=True)
    assert (found.action, found.text) == ("renew_sign_code", "签收码已锁定，请重新获取")
    assert found.target == parcel.delivery_no
    await service.new_sign_code(actor=citizen, delivery_no=parcel.delivery_no, idem=None)
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    assert view.sign_code is not None and not view.sign_code_locked and view.renewals_left == 2
    assert parcel_action((view.parcel,), granted=True).action == "show_sign_code"


async def test_when_no_new_code_is_left_the_owner_is_not_sent_round_in_circles(door):
    citizen, _, parcel = door
    await Parcel.filter(id=parcel.id).update(code_generation=sign_code.RENEWALS + 1, code_tries=sign_code.TRIES)
    view = await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)
    assert view.sign_code_locked and view.renewals_left == 0
    found = parcel_action((view.parcel,), granted=True)
    assert found.action == "wait_parcel" and "联系窗口" in found.text
