"""Refunds at the Alipay partner: once per number, cumulative, limited, asked for, and sometimes not told."""

import asyncio

import pytest

from tests.sandbox.alipay_caller import NUMBER, Merchant, bank


@pytest.fixture
async def merchant(tmp_path):
    async with bank(tmp_path) as partner:
        merchant = Merchant(partner)
        await merchant.config(time_scale=0)
        await merchant.paid()
        yield merchant


async def test_parts_add_up_and_the_whole_closes_the_trade(merchant):
    first = await merchant.refund("3.00", "R1", refund_reason="多缴")
    assert merchant.verifies(first)
    assert (first.node["fund_change"], first.node["refund_fee"]) == ("Y", "3.00")
    assert (await merchant.query()).node["trade_status"] == "TRADE_SUCCESS"
    second = (await merchant.refund("7.00", "R2")).node
    assert (second["fund_change"], second["refund_fee"]) == ("Y", "10.00")
    node = (await merchant.query()).node
    assert (node["trade_status"], bool(node["send_pay_date"])) == ("TRADE_CLOSED", True)
    assert (await merchant.refund("0.01", "R3")).sub_code == "ACQ.TRADE_HAS_CLOSE"
    assert (await merchant.refund("7.00", "R2")).node["fund_change"] == "N"


async def test_a_replay_moves_nothing_and_another_amount_is_refused(merchant):
    await merchant.refund("3.00", "R1")
    replay = (await merchant.refund("3.00", "R1")).node
    assert (replay["code"], replay["fund_change"], replay["refund_fee"]) == ("10000", "N", "3.00")
    assert (await merchant.refund("3.01", "R1")).sub_code == "ACQ.DISCORDANT_REPEAT_REQUEST"
    refunds = (await merchant.control("GET", "/refunds")).json["refunds"]
    assert [(one["refund_fen"], one["times_asked"]) for one in refunds] == [(300, 2)]


async def test_never_more_than_was_paid_however_many_ask_at_once(merchant):
    got = await asyncio.gather(*(merchant.refund("3.00", f"R{n}") for n in range(10)))
    assert sorted(one.sub_code or "done" for one in got) == ["ACQ.REASON_TRADE_REFUND_FEE_ERR"] * 7 + ["done"] * 3


async def test_three_seconds_lie_between_two_refunds_of_one_trade(merchant):
    await merchant.config(time_scale=1)
    await merchant.refund("1.00", "R1")
    hurried = await merchant.refund("1.00", "R2")
    assert (hurried.node["code"], hurried.sub_code, hurried.is_signed) == ("40005", "isv.method-call-limited", False)
    assert (await merchant.refund("1.00", "R1")).node["fund_change"] == "N"  # a replay need not wait
    await merchant.control("POST", "/clock", {"offset_s": 4})
    assert (await merchant.refund("1.00", "R2")).node["fund_change"] == "Y"


async def test_without_a_number_only_the_whole_can_be_refunded(merchant):
    assert (await merchant.refund("3.00")).sub_code == "ACQ.INVALID_PARAMETER"
    assert (await merchant.refund("10.00")).node["fund_change"] == "Y"
    assert (await merchant.refund_query(NUMBER)).node["refund_status"] == "REFUND_SUCCESS"


async def test_states_in_which_nothing_is_refunded(merchant):
    assert (await merchant.refund("1.00", "R1", number="unknown")).sub_code == "ACQ.TRADE_NOT_EXIST"
    waiting = "ZSB00000000000000000000002"
    await merchant.create(out_trade_no=waiting)
    assert (await merchant.refund("1.00", "R1", number=waiting)).sub_code == "ACQ.TRADE_STATUS_ERROR"
    await merchant.close(waiting)
    assert (await merchant.refund("1.00", "R1", number=waiting)).sub_code == "ACQ.TRADE_HAS_CLOSE"
    await merchant.control("POST", f"/orders/{NUMBER}/finish")
    assert (await merchant.refund("1.00", "R1")).sub_code == "ACQ.TRADE_HAS_FINISHED"


async def test_an_empty_account_is_refilled_and_the_same_number_works(merchant):
    await merchant.config(balance_fen=299)
    assert (await merchant.refund("3.00", "R1")).sub_code == "ACQ.SELLER_BALANCE_NOT_ENOUGH"
    await merchant.config(balance_fen=None)
    assert (await merchant.refund("3.00", "R1")).node["fund_change"] == "Y"


@pytest.mark.parametrize(
    "change", [{"refund_amount": "3"}, {"refund_amount": 3.0}, {"refund_amount": ...}, {"refund_reason": "多" * 257}, {"amount": "1"}]
)  # fmt: skip
async def test_a_malformed_refund_is_refused(merchant, change):
    content = {"out_trade_no": NUMBER, "out_request_no": "R1", "refund_amount": "3.00", **change}
    got = await merchant.call("alipay.trade.refund", {k: v for k, v in content.items() if v is not ...})
    assert got.sub_code == "ACQ.INVALID_PARAMETER"
    assert (await merchant.control("GET", "/refunds")).json == {"refunds": []}


# -- the refund query ------------------------------------------------------------------------------------------------


async def test_the_query_tells_only_a_refund_that_is_done(merchant):
    empty = await merchant.refund_query("R1")
    assert empty.node == {"code": "10000", "msg": "Success"}
    assert merchant.verifies(empty)
    await merchant.refund("3.00", "R1")
    options = ["gmt_refund_pay", "refund_detail_item_list"]
    node = (await merchant.refund_query("R1", query_options=options)).node
    assert (node["refund_status"], node["refund_amount"], node["total_amount"]) == ("REFUND_SUCCESS", "3.00", "10.00")
    assert node["gmt_refund_pay"]
    assert node["refund_detail_item_list"] == [{"fund_channel": "ALIPAYACCOUNT", "amount": "3.00"}]
    assert (await merchant.refund_query("wrong")).node == {"code": "10000", "msg": "Success"}
    assert (await merchant.refund_query("R1", number="unknown")).sub_code == "ACQ.TRADE_NOT_EXIST"


async def test_a_query_that_comes_too_early_is_empty(merchant):
    await merchant.config(time_scale=1, refund_query_after_s=10)
    await merchant.refund("3.00", "R1")
    assert "refund_status" not in (await merchant.refund_query("R1")).node
    await merchant.control("POST", "/clock", {"offset_s": 11})
    assert (await merchant.refund_query("R1")).node["refund_status"] == "REFUND_SUCCESS"


async def test_a_refund_under_way_is_empty_until_somebody_finishes_it(merchant):
    await merchant.config(refund_outcome="pending")
    asked = (await merchant.refund("10.00", "R1")).node
    assert (asked["code"], asked["fund_change"], asked["refund_fee"]) == ("10000", "N", "0.00")
    assert "refund_status" not in (await merchant.refund_query("R1")).node
    assert (await merchant.refund("0.01", "R2")).sub_code == "ACQ.REASON_TRADE_REFUND_FEE_ERR"
    assert (await merchant.control("POST", "/refunds/R1/finish", {"status": "SUCCESS"})).json["status"] == "SUCCESS"
    assert (await merchant.refund_query("R1")).node["refund_status"] == "REFUND_SUCCESS"
    assert (await merchant.query()).node["trade_status"] == "TRADE_CLOSED"


async def test_a_refund_that_failed_frees_its_amount_and_the_same_number_works(merchant):
    await merchant.config(refund_outcome="pending")
    await merchant.refund("10.00", "R1")
    assert (await merchant.control("POST", "/refunds/R1/finish", {"status": "CLOSED"})).status == 200
    assert (await merchant.refund_query("R1")).node == {"code": "10000", "msg": "Success"}
    await merchant.config(refund_outcome="done")
    assert (await merchant.refund("9.00", "R1")).sub_code == "ACQ.DISCORDANT_REPEAT_REQUEST"
    assert (await merchant.refund("10.00", "R1")).node["fund_change"] == "Y"
    events = [line["event"] for line in (await merchant.control("GET", "/refunds/R1")).json["history"]]
    assert events == ["accepted", "closed", "accepted", "success"]


async def test_verbs_refuse_what_makes_no_sense(merchant):
    assert (await merchant.control("POST", "/refunds/R1/finish", {"status": "SUCCESS"})).status == 404
    await merchant.refund("1.00", "R1")
    assert (await merchant.control("POST", "/refunds/R1/finish", {"status": "SUCCESS"})).status == 409
    assert (await merchant.control("POST", "/refunds/R1/finish", {"status": "ABNORMAL"})).status == 400
    assert (await merchant.control("POST", "/refunds/R1/finish", {"surprise": 1})).status == 400
    other = "ZSB00000000000000000000002"
    await merchant.paid(out_trade_no=other)
    await merchant.refund("1.00", "R1", number=other)
    assert (await merchant.control("GET", "/refunds/R1")).status == 409
    assert (await merchant.control("GET", f"/refunds/{other}:R1")).json["out_trade_no"] == other
