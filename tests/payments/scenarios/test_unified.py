"""Failure scenarios of the finance platform: paid elsewhere, orders shorter than bills, damaged pushes, receipts in the way."""

import asyncio

import pytest

import payments
from kernel import db
from payments import janitor
from payments.gateways.base import Outcome
from payments.models import Difference
from payments.states import AttemptState, BillState
from tests.payments.treasury import treasury

_A = AttemptState
HALF_AN_HOUR = 30 * 60


@pytest.fixture(params=["frames", "province"])
async def county(request, tmp_path, database, frozen_clock):
    """Both languages of finance platforms."""
    async with treasury(tmp_path, face=request.param) as place:
        await place.shift(frozen_clock, 0)
        yield place


@pytest.fixture
async def front_end(tmp_path, database, frozen_clock):
    """Only the one with proofs."""
    async with treasury(tmp_path) as place:
        await place.shift(frozen_clock, 0)
        yield place


async def states(place, bill_no: str) -> list[tuple[str, str]]:
    return [(attempt.product, attempt.state) for attempt in await place.attempts(bill_no)]


# -- 54: already paid at the bank counter (232, CODE 99) ----------------------------------------------------------------


async def test_s54_paid_at_the_counter_while_an_order_is_open(county):
    """The bill is paid the other way, and the order that was open is closed: by asking, no push came."""
    bill_no = await county.issue()
    view = await county.start(bill_no)
    paid = await county.at_counter(bill_no, notify=False)
    await county.ask(view.payment_no)
    assert (await county.bill(bill_no)).state == BillState.PAID
    assert await states(county, bill_no) == [("pay", _A.CLOSED), ("elsewhere", _A.PAID)]
    other = (await county.attempts(bill_no))[1]
    assert other.channel_txn_id == paid["txn"] and other.amount_fen == 1000
    shown = await payments.bill(owner_ref="owner-one", bill_no=bill_no)
    assert shown.status == "paid" and not shown.refunds


async def test_s54_paid_at_the_counter_before_anybody_taps(county):
    """The platform refuses the order with 232 or 99; that is no failure but the news that the bill is paid."""
    bill_no = await county.issue()
    view = await county.start(bill_no)  # gives the bill its code and registers it
    await county.at_counter(bill_no, notify=False)
    await janitor.check_attempts()
    await county.ask(view.payment_no)
    assert (await county.bill(bill_no)).state == BillState.PAID
    with pytest.raises(payments.BillNotPayable):
        await county.start(bill_no)


async def test_s54_the_second_phone_learns_it_from_the_refusal(county):
    """Another order under the code of a paid bill is never opened."""
    bill_no = await county.issue()
    view = await county.start(bill_no)
    await db.execute("UPDATE payments_attempt SET state = 'closed', active_slot = NULL, next_check_at = NULL")
    await county.at_counter(bill_no, notify=False)
    second = await county.start(bill_no)
    assert second.payment_no != view.payment_no and second.status == "cancelled"
    assert await states(county, bill_no) == [("pay", _A.CLOSED), ("pay", _A.CLOSED), ("elsewhere", _A.PAID)]
    assert (await county.bill(bill_no)).state == BillState.PAID


async def test_s54_the_push_of_the_counter_closes_what_is_open(front_end):
    bill_no = await front_end.issue()
    view = await front_end.start(bill_no)
    await front_end.at_counter(bill_no)
    await front_end.settle_down()
    assert (await front_end.bill(bill_no)).state == BillState.PAID
    assert (await front_end.attempt(view.payment_no)).state == _A.CLOSING
    await janitor.check_attempts()
    assert (await front_end.attempt(view.payment_no)).state == _A.CLOSED


async def test_s54_the_push_of_a_bill_that_nobody_tapped_again(front_end):
    """A counter payment needs no order of ours to be recognised."""
    bill_no = await front_end.issue()
    view = await front_end.start(bill_no)
    await front_end.ask(view.payment_no)
    await front_end.control("POST", f"/orders/{view.payment_no}/close")
    await front_end.at_counter(bill_no)
    await front_end.settle_down()
    assert (await front_end.bill(bill_no)).state == BillState.PAID


async def test_s54_paid_there_and_here_is_paid_once_and_owed_back_once(front_end):
    """The counter wins; what came through the order is surplus."""
    bill_no = await front_end.issue()
    view = await front_end.start(bill_no)
    await front_end.at_counter(bill_no)
    await front_end.settle_down()
    await front_end.pay(view.payment_no, force=True)
    await front_end.settle_down()
    shown = await payments.bill(owner_ref="owner-one", bill_no=bill_no)
    assert shown.status == "duplicated" and [due.amount_fen for due in shown.refunds] == [1000]


# -- 55: the order ends after half an hour, the bill does not ----------------------------------------------------------


async def test_s55_a_new_number_after_the_end_and_the_old_one_closed(county, frozen_clock):
    bill_no = await county.issue()
    old = await county.start(bill_no)
    assert (await county.start(bill_no)).payment_no == old.payment_no
    await county.shift(frozen_clock, HALF_AN_HOUR)
    new = await county.start(bill_no)
    assert new.payment_no != old.payment_no and new.client_action
    assert len({order["pay_code"] for order in (await county.control("GET", "/orders"))["orders"]}) == 1, (
        "one bill, one code"
    )
    watched = await county.attempt(old.payment_no)
    assert watched.state == _A.CLOSING and watched.next_check_at is not None
    await county.shift(frozen_clock, 400)  # past the margin in which clocks may differ
    await janitor.check_attempts()
    assert await states(county, bill_no) == [("pay", _A.CLOSED), ("pay", _A.PENDING)]
    await county.pay(new.payment_no, notify=False)
    await county.ask(new.payment_no)
    assert (await county.bill(bill_no)).state == BillState.PAID


async def test_s55_both_are_watched_and_money_of_the_old_one_settles(county, frozen_clock):
    """Paid in the last second: the old order is not given up before the platform says so."""
    bill_no = await county.issue()
    old = await county.start(bill_no)
    await county.pay(old.payment_no, notify=False)
    await county.shift(frozen_clock, HALF_AN_HOUR)
    new = await county.start(bill_no)
    await janitor.check_attempts()
    assert (await county.bill(bill_no)).state == BillState.PAID
    assert (await county.attempt(old.payment_no)).state == _A.PAID
    assert (await county.attempt(new.payment_no)).state == _A.CLOSED


async def test_s55_the_old_one_is_paid_late_after_the_new_one_was(front_end, frozen_clock):
    """Money of an order that we had closed: one settlement, the second is owed back, nothing is lost."""
    bill_no = await front_end.issue()
    old = await front_end.start(bill_no)
    await front_end.shift(frozen_clock, HALF_AN_HOUR)
    new = await front_end.start(bill_no)
    await front_end.shift(frozen_clock, 400)
    await janitor.check_attempts()
    await front_end.pay(new.payment_no)
    await front_end.pay(old.payment_no, force=True)
    await front_end.settle_down()
    assert await states(front_end, bill_no) == [("pay", _A.PAID), ("pay", _A.PAID)]
    shown = await payments.bill(owner_ref="owner-one", bill_no=bill_no)
    assert shown.status == "duplicated" and [due.payment_no for due in shown.refunds] == [old.payment_no]
    assert {d.class_name for d in await Difference.all()} == {"STATUS_OURS_UNPAID"}


async def test_s55_the_old_one_stays_watched_while_the_platform_is_silent(front_end, frozen_clock):
    bill_no = await front_end.issue()
    old = await front_end.start(bill_no)
    await front_end.shift(frozen_clock, HALF_AN_HOUR)
    await front_end.fault("*", {"drop": "before"}, times=2)
    await janitor.check_attempts()
    assert (await front_end.attempt(old.payment_no)).state in (_A.PENDING, _A.CLOSING)
    await front_end.control("DELETE", "/faults")
    assert (await front_end.start(bill_no)).payment_no != old.payment_no
    assert (await front_end.attempt(old.payment_no)).next_check_at is not None


# -- 56: the confirmation push, repeated and damaged in every way -------------------------------------------------------


async def paid_quietly(place, key: str = "fee:1", **wish) -> tuple[str, str, str]:
    bill_no = await place.issue(key)
    view = await place.start(bill_no)
    payment = await place.pay(view.payment_no, notify=False, **wish)
    return bill_no, view.payment_no, payment["txn"]


async def test_s56_the_same_push_fifty_times_at_once_is_one_settlement(front_end):
    bill_no, payment_no, txn = await paid_quietly(front_end)
    found = await front_end.push(txn, copies=50, parallel=True)
    assert {(answer["status"], answer["accepted"]) for answer in found["answers"]} == {(200, 1)}
    await front_end.work()
    await front_end.push(txn)
    await front_end.work()
    assert (await front_end.bill(bill_no)).state == BillState.PAID
    rows = await db.fetch("SELECT id FROM payments_ledger_txn WHERE kind = 'pay' AND payment_no = ?", payment_no)
    assert len(rows) == 1


@pytest.mark.parametrize("tamper", ["mac_wrong", "body_byte", "other_token"])
async def test_s56_a_wrong_hash_is_refused_and_changes_nothing(front_end, tamper):
    bill_no, payment_no, txn = await paid_quietly(front_end)
    found = await front_end.push(txn, tamper=tamper)
    assert [(a["status"], a["accepted"]) for a in found["answers"]] == [(401, 0)]
    await front_end.work()
    assert (await front_end.attempt(payment_no)).state == _A.PENDING
    await front_end.push(txn)  # the real one still counts
    await front_end.work()
    assert (await front_end.bill(bill_no)).state == BillState.PAID


@pytest.mark.parametrize("tamper", ["frame_short", "frame_long", "frame_cut"])
async def test_s56_a_wrong_length_is_refused_and_changes_nothing(front_end, tamper):
    _, payment_no, txn = await paid_quietly(front_end)
    found = await front_end.push(txn, tamper=tamper)
    assert [(a["status"], a["accepted"]) for a in found["answers"]] == [(400, 0)]
    await front_end.work()
    assert (await front_end.attempt(payment_no)).state == _A.PENDING
    assert await db.fetch("SELECT id FROM kernel_inbox") == []


@pytest.mark.parametrize("tamper", ["mac_lower", "newline"])
async def test_s56_the_other_case_and_a_line_break_are_good(front_end, tamper):
    bill_no, _, txn = await paid_quietly(front_end)
    assert (await front_end.push(txn, tamper=tamper))["answers"][0]["accepted"] == 1
    await front_end.work()
    assert (await front_end.bill(bill_no)).state == BillState.PAID


async def test_s56_two_frames_in_one_packet_settle_both_bills(front_end):
    first, second = await paid_quietly(front_end), await paid_quietly(front_end, "fee:2")
    found = await front_end.push(first[2], **{"with": [second[2]]})
    assert found["answers"][0]["accepted"] == 2
    await front_end.work()
    assert [(await front_end.bill(no)).state for no in (first[0], second[0])] == [BillState.PAID] * 2


@pytest.mark.parametrize("name", ["王桂兰", "李㛃", "王䶮"])
async def test_s56_a_name_in_gbk_is_read_right(front_end, name):
    """Rare characters of names that GBK itself does not have arrive too; the name is never stored in clear."""
    from payments import runtime

    bill_no, _, txn = await paid_quietly(front_end, payer=name)
    raw = front_end.partner.messenger._wished({"about": {"txn": txn}})
    evidence = runtime.gateway("unified").open_stored(raw).evidence
    assert (evidence.outcome, evidence.payer_id) == (Outcome.PAID, name) and name not in repr(evidence)
    await front_end.push(txn)
    await front_end.work()
    assert (await front_end.bill(bill_no)).state == BillState.PAID
    for table in ("payments_attempt", "payments_evidence", "kernel_inbox", "kernel_outbox"):
        assert name not in str(await db.fetch(f"SELECT * FROM {table}"))


async def test_s56_another_amount_first_and_the_right_one_after_it(front_end):
    """A push with another amount is kept in suspense; it does not swallow the next one."""
    bill_no, payment_no, txn = await paid_quietly(front_end)
    await front_end.push(txn, override={"Amt": "9.00"})
    await front_end.work()
    assert (await front_end.attempt(payment_no)).review_required
    assert [d.class_name for d in await Difference.all()] == ["AMOUNT_LOW"]
    assert (await front_end.bill(bill_no)).state == BillState.OPEN


async def test_s56_push_and_question_at_the_same_instant_are_one_settlement(front_end):
    bill_no, payment_no, txn = await paid_quietly(front_end)
    await front_end.push(txn)
    await asyncio.gather(front_end.work(), front_end.ask(payment_no))
    assert (await front_end.bill(bill_no)).state == BillState.PAID
