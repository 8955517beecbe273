"""The life of a trade at the Alipay partner: created, repeated, paid, closed, finished; refunds have their own page."""

from datetime import datetime, timedelta

import pytest

from tests.sandbox.alipay_caller import BEIJING, NUMBER, OPEN_ID, SELLER_ID, Merchant, bank


@pytest.fixture
async def merchant(tmp_path):
    async with bank(tmp_path) as partner:
        merchant = Merchant(partner)
        await merchant.config(max_skew_s=None)
        yield merchant


def beijing(seconds: float) -> str:
    return (datetime.now(BEIJING) + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


async def test_a_trade_waits_is_paid_and_says_when(merchant):
    created = (await merchant.create()).node
    waiting = await merchant.query()
    assert merchant.verifies(waiting)
    assert (waiting.node["trade_status"], waiting.node["trade_no"]) == ("WAIT_BUYER_PAY", created["trade_no"])
    assert "send_pay_date" not in waiting.node
    assert (await merchant.pay(at="2026-03-01 09:30:00")).json["state"] == "TRADE_SUCCESS"
    paid = (await merchant.query(query_options=["fund_bill_list"])).node
    assert (paid["trade_status"], paid["total_amount"], paid["send_pay_date"]) == ("TRADE_SUCCESS", "10.00", "2026-03-01 09:30:00")  # fmt: skip
    assert paid["buyer_open_id"] == OPEN_ID
    assert paid["fund_bill_list"] == [{"amount": "10.00", "fund_channel": "ALIPAYACCOUNT"}]


async def test_an_old_user_number_is_answered_under_its_own_name(merchant):
    await merchant.paid(buyer_open_id=..., buyer_id="2088000000000009")
    node = (await merchant.query()).node
    assert node["buyer_user_id"] == "2088000000000009"
    assert "buyer_open_id" not in node


async def test_a_discount_leaves_the_total_and_lowers_what_the_payer_paid(merchant):
    await merchant.create()
    await merchant.pay(discount_fen=300)
    node = (await merchant.query(query_options=["fund_bill_list"])).node
    assert (node["total_amount"], node["buyer_pay_amount"]) == ("10.00", "7.00")
    assert [one["fund_channel"] for one in node["fund_bill_list"]] == ["ALIPAYACCOUNT", "MCOUPON"]


async def test_the_trade_number_wins_when_both_are_given(merchant):
    other = "ZSB00000000000000000000002"
    await merchant.create()
    trade_no = (await merchant.create(out_trade_no=other)).node["trade_no"]
    assert (await merchant.query(trade_no=trade_no)).node["out_trade_no"] == other
    assert (await merchant.query(trade_no="1" * 28)).sub_code == "ACQ.TRADE_NOT_EXIST"


async def test_an_unknown_number_is_a_signed_conclusion(merchant):
    got = await merchant.query("unknown")
    assert (got.node["code"], got.sub_code) == ("40004", "ACQ.TRADE_NOT_EXIST")
    assert merchant.verifies(got)


async def test_an_identical_repeat_is_the_same_trade_and_a_difference_is_refused(merchant):
    first, again = (await merchant.create()).node, (await merchant.create()).node
    assert first["trade_no"] == again["trade_no"]
    assert (await merchant.create(total_amount="10.01")).sub_code == "ACQ.CONTEXT_INCONSISTENT"
    assert (await merchant.create(subject="另一件事")).sub_code == "ACQ.CONTEXT_INCONSISTENT"
    shown = (await merchant.control("GET", f"/orders/{NUMBER}")).json
    assert (shown["times_created"], len(shown["body_sha256"])) == (2, 1)
    await merchant.pay()
    assert (await merchant.create()).sub_code == "ACQ.TRADE_HAS_SUCCESS"


@pytest.mark.parametrize(
    ("change", "sub_code"),
    [
        ({"total_amount": amount}, "ACQ.INVALID_PARAMETER")
        for amount in ("10", "10.0", "10.000", "0.00", "-1.00", "1e3", "100000000.01", "１.00", 10, 10.0)
    ]
    + [
        ({"out_trade_no": "ZSB-1"}, "ACQ.INVALID_PARAMETER"),
        ({"out_trade_no": "1" * 65}, "ACQ.INVALID_PARAMETER"),
        ({"out_trade_no": ...}, "ACQ.INVALID_PARAMETER"),
        ({"subject": "证/费"}, "ACQ.INVALID_PARAMETER"),
        ({"subject": "a=1"}, "ACQ.INVALID_PARAMETER"),
        ({"subject": "费" * 257}, "ACQ.INVALID_PARAMETER"),
        ({"product_code": "QUICK_WAP_WAY"}, "ACQ.INVALID_PARAMETER"),
        ({"op_app_id": ...}, "ACQ.INVALID_PARAMETER"),
        ({"buyer_open_id": ...}, "ACQ.INVALID_PARAMETER"),
        ({"buyer_id": SELLER_ID}, "ACQ.BUYER_SELLER_EQUAL"),
        ({"seller_id": "2088000000000002"}, "ACQ.INVALID_PARAMETER"),
        ({"unheard_of": "1"}, "ACQ.INVALID_PARAMETER"),
        ({"time_expire": "2020-01-01 00:00:00"}, "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR"),
        ({"time_expire": "2020-01-01"}, "ACQ.INVALID_PARAMETER"),
        ({"time_expire": "2026-02-30 00:00:00"}, "ACQ.INVALID_PARAMETER"),
        ({"timeout_express": "1.5h"}, "ACQ.INVALID_PARAMETER"),
        ({"timeout_express": "16d"}, "ACQ.INVALID_PARAMETER"),
    ],
)
async def test_a_malformed_order_is_refused_and_leaves_nothing(merchant, change, sub_code):
    got = await merchant.create(**change)
    assert (got.node["code"], got.sub_code) == ("40004", sub_code)
    assert merchant.verifies(got)
    assert (await merchant.query()).sub_code == "ACQ.TRADE_NOT_EXIST"


async def test_the_seller_may_be_named_and_every_amount_may_be_paid(merchant):
    for amount in ("0.01", "100000000.00"):
        number = f"ZSB{amount.replace('.', '')}"
        await merchant.paid(out_trade_no=number, total_amount=amount, seller_id=SELLER_ID)
        assert (await merchant.query(number)).node["total_amount"] == amount


@pytest.mark.parametrize(
    ("change", "lives_s"),
    [
        ({}, 15 * 86400),
        ({"timeout_express": "5m"}, 300),
        ({"timeout_express": "2h"}, 7200),
        ({"timeout_express": "1d", "time_expire": "in ten minutes"}, 600),
    ],
)
async def test_nobody_pays_after_the_end(merchant, change, lives_s):
    if "time_expire" in change:
        change = {**change, "time_expire": beijing(600)}
    await merchant.create(**change)
    await merchant.control("POST", "/clock", {"offset_s": lives_s - 5})
    assert (await merchant.query()).node["trade_status"] == "WAIT_BUYER_PAY"
    await merchant.control("POST", "/clock", {"offset_s": lives_s + 5})
    node = (await merchant.query()).node
    assert (node["trade_status"], "send_pay_date" in node) == ("TRADE_CLOSED", False)
    assert (await merchant.pay()).status == 409
    assert (await merchant.create(**change)).sub_code == "ACQ.TRADE_HAS_CLOSE"


async def test_the_end_of_the_day_is_midnight_in_beijing(merchant):
    await merchant.create(timeout_express="1c")
    midnight = datetime.now(BEIJING).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    left = (midnight - datetime.now(BEIJING)).total_seconds()
    await merchant.control("POST", "/clock", {"offset_s": left + 5})
    assert (await merchant.query()).node["trade_status"] == "TRADE_CLOSED"


async def test_only_a_waiting_trade_can_be_closed(merchant):
    assert (await merchant.close()).sub_code == "ACQ.TRADE_NOT_EXIST"
    await merchant.create()
    closed = await merchant.close()
    assert (closed.node["code"], closed.node["out_trade_no"]) == ("10000", NUMBER)
    assert (await merchant.query()).node["trade_status"] == "TRADE_CLOSED"
    assert (await merchant.close()).sub_code == "ACQ.REASON_ILLEGAL_STATUS"
    other = "ZSB00000000000000000000002"
    await merchant.paid(out_trade_no=other)
    assert (await merchant.close(other)).sub_code == "ACQ.TRADE_STATUS_ERROR"
    await merchant.control("POST", f"/orders/{other}/finish")
    assert (await merchant.close(other)).sub_code == "ACQ.REASON_TRADE_STATUS_INVALID"


async def test_money_may_arrive_late_or_in_another_amount_when_a_test_wants_it(merchant):
    await merchant.create()
    await merchant.close()
    assert (await merchant.pay()).status == 409
    late = (await merchant.pay(force=True, amount_fen=1)).json
    assert (late["state"], late["amount_fen"]) == ("TRADE_SUCCESS", 1)
    assert (await merchant.query()).node["total_amount"] == "0.01"
    again = await merchant.pay(force=True)
    assert (again.status, "不会收两次钱" in again.json["error"]) == (409, True)


async def test_a_trade_that_can_no_longer_be_refunded_is_finished(merchant):
    await merchant.paid()
    await merchant.control("POST", "/clock", {"offset_s": 366 * 86400})
    node = (await merchant.query()).node
    assert node["trade_status"] == "TRADE_FINISHED"
    assert node["send_pay_date"]


async def test_a_payment_can_go_straight_to_finished(merchant):
    await merchant.create()
    assert (await merchant.pay(finished=True)).json["state"] == "TRADE_FINISHED"
    assert (await merchant.refund("1.00", "R1")).sub_code == "ACQ.TRADE_HAS_FINISHED"


async def test_verbs_refuse_what_makes_no_sense(merchant):
    assert (await merchant.pay("unknown")).status == 404
    await merchant.create()
    assert (await merchant.pay(surprise=1)).status == 400
    assert (await merchant.pay(at="yesterday")).status == 400
    assert (await merchant.pay(amount_fen="1")).status == 400
    assert (await merchant.pay(discount_fen=1000)).status == 409
    assert (await merchant.control("POST", f"/orders/{NUMBER}/finish")).status == 409
    declined = (await merchant.control("POST", f"/orders/{NUMBER}/fail", {"reason": "余额不足"})).json
    assert (declined["state"], declined["failed_tries"][0]["reason"]) == ("WAIT_BUYER_PAY", "余额不足")
    await merchant.pay()
    assert (await merchant.control("POST", f"/orders/{NUMBER}/fail")).status == 409
    assert (await merchant.control("POST", f"/orders/{NUMBER}/close")).status == 409


async def test_everything_survives_a_restart_and_a_reset_forgets_it(tmp_path):
    async with bank(tmp_path) as partner:
        await Merchant(partner).paid()
    async with bank(tmp_path) as partner:
        merchant = Merchant(partner)
        assert (await merchant.query()).node["trade_status"] == "TRADE_SUCCESS"
        history = (await merchant.control("GET", f"/orders/{NUMBER}")).json["history"]
        assert [line["event"] for line in history] == ["placed", "paid"]
        await merchant.control("POST", "/reset")
        assert (await merchant.query()).sub_code == "ACQ.TRADE_NOT_EXIST"
        assert (await merchant.control("GET", "/orders")).json == {"orders": []}
