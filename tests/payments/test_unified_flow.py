"""Paying through the finance platform, end to end against the sandbox: phone, counter, faults, in both of its languages."""

import pytest

from kernel.problems import PartnerDown
from payments import janitor
from payments.models import Attempt, Bill, Difference
from payments.states import AttemptState, BillState
from tests.payments.treasury import treasury

_A = AttemptState


@pytest.fixture
async def county(tmp_path, database):
    async with treasury(tmp_path) as place:
        yield place


@pytest.fixture
async def province(tmp_path, database):
    async with treasury(tmp_path, face="province") as place:
        yield place


async def test_from_the_tap_to_paid_by_push(county):
    bill_no = await county.issue()
    view = await county.start(bill_no)
    assert view.channel == "unified_pay" and view.client_action["url"].endswith(f"/pay/{view.payment_no}")
    code = await county.code(bill_no)
    assert code.startswith("62098126300") and len(code) == 20
    over_there = await county.control("GET", f"/bills/{code}")
    assert (over_there["amount_fen"], over_there["payer"]) == (1000, "缴款人"), "the payer's name stays with us"
    payment = await county.pay(view.payment_no)
    await county.settle_down()
    attempt = await county.attempt(view.payment_no)
    assert (attempt.state, attempt.channel_txn_id) == (_A.PAID, payment["txn"])
    assert (await county.bill(bill_no)).state == BillState.PAID
    assert (await county.control("GET", "/callbacks"))["callbacks"][0]["state"] == "done", (
        "8001 00000 ended the repeats"
    )


async def test_a_lost_push_is_found_by_asking(county):
    bill_no = await county.issue()
    view = await county.start(bill_no)
    await county.ask(view.payment_no)
    assert (await county.attempt(view.payment_no)).state == _A.PENDING
    await county.pay(view.payment_no, notify=False)
    await county.ask(view.payment_no)
    assert (await county.bill(bill_no)).state == BillState.PAID


@pytest.mark.parametrize(
    "effect",
    [{"drop": "after"}, {"body": "garbage"}, {"body": "truncated"}, {"signature": "other_key"}, {"signature": "stale"}],
)
async def test_an_order_whose_answer_cannot_be_believed_is_asked_about_and_sent_again(county, effect):
    bill_no = await county.issue()
    await county.fault("8994", effect)
    view = await county.start(bill_no)
    assert (await county.attempt(view.payment_no)).state == _A.UNKNOWN
    await county.ask(view.payment_no)
    assert (await county.attempt(view.payment_no)).state == _A.PENDING
    again = await county.start(bill_no)
    assert again.payment_no == view.payment_no and again.client_action, "the identical request gives the same order"
    assert (await county.order(view.payment_no))["times_created"] == 2
    assert len((await county.control("GET", "/orders"))["orders"]) == 1


@pytest.mark.parametrize("shape", ["split", "newline"])
async def test_answers_may_come_in_pieces(county, shape):
    await county.fault("8994", {"frame": shape})
    view = await county.start(await county.issue())
    assert (await county.attempt(view.payment_no)).state == _A.PENDING


async def test_a_short_length_in_an_answer_proves_nothing(county):
    await county.fault("8994", {"frame": "short"})
    view = await county.start(await county.issue())
    assert (await county.attempt(view.payment_no)).state == _A.UNKNOWN


async def test_a_refusal_with_a_known_code_rejects_and_an_unknown_one_does_not(county):
    await county.fault("8994", {"code": "18012"})
    view = await county.start(await county.issue())
    assert (await county.attempt(view.payment_no)).state == _A.REJECTED
    await county.fault("8994", {"code": "29999"})
    view = await county.start(await county.issue("fee:2"))
    attempt = await county.attempt(view.payment_no)
    assert (attempt.state, attempt.last_error) == (_A.UNKNOWN, "29999"), "the code only: a sentence may name a person"
    await county.ask(view.payment_no)  # "no such bill": sent again under the same number
    assert (await county.attempt(view.payment_no)).state == _A.PENDING


async def test_nothing_is_sent_when_nobody_listens(county):
    bill_no = await county.issue()
    await county.partner.listener.stop()
    with pytest.raises(PartnerDown):
        await county.start(bill_no)
    assert [a.state for a in await county.attempts(bill_no)] == [_A.CREATED]


async def test_an_unpaid_order_is_closed_when_the_bill_is_given_up(county):
    import payments

    bill_no = await county.issue()
    view = await county.start(bill_no)
    await payments.void_bills(subject="case:1", reason="withdrawn")
    await janitor.check_attempts()
    assert (await county.attempt(view.payment_no)).state == _A.CLOSED
    assert (await county.order(view.payment_no))["state"] == "CLOSED"
    assert (await county.bill(bill_no)).state == BillState.WITHDRAWN


async def test_money_with_another_amount_settles_nothing(county):
    bill_no = await county.issue()
    view = await county.start(bill_no)
    await county.pay(view.payment_no, amount_fen=900)
    await county.settle_down()
    attempt = await county.attempt(view.payment_no)
    assert attempt.review_required and (await county.bill(bill_no)).state == BillState.OPEN
    assert [d.class_name for d in await Difference.all()] == ["AMOUNT_LOW"]
    await county.ask(view.payment_no)
    assert await Difference.all().count() == 1


async def test_money_under_a_code_we_never_gave_is_kept_in_suspense_and_asked_for_again(county):
    code = "62098126300000099999"
    await county.control("POST", "/bills", {"pay_code": code, "amount_fen": 500})
    payment = await county.control("POST", f"/bills/{code}/pay-at-counter", {"notify": False})
    found = await county.push(payment["txn"], copies=2)
    assert [answer["accepted"] for answer in found["answers"]] == [0, 0], "99999: they notice too"
    await county.work()
    (difference,) = await Difference.all()
    assert (difference.class_name, difference.theirs_fen, difference.payment_no) == ("CHANNEL_ONLY", 500, code)


async def test_a_counter_payment_of_another_amount_waits_for_a_person(county):
    bill_no = await county.issue()
    await county.start(bill_no)
    await county.at_counter(bill_no, amount_fen=900)
    await county.settle_down()
    await county.settle_down()
    parked = [a for a in await county.attempts(bill_no) if a.product == "elsewhere"]
    assert len(parked) == 1 and parked[0].review_required
    assert (await county.bill(bill_no)).state == BillState.OPEN


async def test_the_provincial_language_from_the_tap_to_paid(province):
    bill_no = await province.issue()
    view = await province.start(bill_no)
    code = await province.code(bill_no)
    assert code.startswith("62098126") and len(code) == 20 and view.client_action["url"]
    await province.pay(view.payment_no, notify=True)
    await province.settle_down()
    attempt = await province.attempt(view.payment_no)
    assert attempt.state == _A.PENDING, "an unsigned push proves nothing"
    await janitor.check_attempts()  # the hint moved the next question to now
    assert (await province.bill(bill_no)).state == BillState.PAID


async def test_an_unsigned_hint_about_a_strange_code_is_refused_and_none_believed(province):
    import payments

    view = await province.start(await province.issue())
    hint = '<?xml version="1.0" encoding="GBK"?><ROOT><RESULT><NOTICENO>{}</NOTICENO></RESULT></ROOT>'
    for text, status in ((hint.format("62098126000000009999"), 403), ("<ROOT>", 400), ("<!DOCTYPE a><ROOT/>", 400)):
        answer = await payments.receive_packet(channel="unified", headers={}, raw=text.encode())
        assert answer.status == status
    known = (await Attempt.get(payment_no=view.payment_no)).bill_id
    forged = hint.format(await province.code((await Bill.get(id=known)).bill_no))
    assert (await payments.receive_packet(channel="unified", headers={}, raw=forged.encode())).status == 200
    await province.work()
    await janitor.check_attempts()
    assert (await province.attempt(view.payment_no)).state == _A.PENDING
