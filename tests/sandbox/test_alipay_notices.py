"""Notices of the Alipay partner: signed without sign_type, repeated until exactly `success`, spoiled on demand."""

import asyncio
import base64

import pytest
from cryptography.hazmat.primitives import hashes

from tests.sandbox.alipay_caller import APP_ID, NUMBER, SELLER_ID, Merchant, Notice, bank, is_genuine, listener, order

NOTIFY = "/notifications"


@pytest.fixture
async def merchant(tmp_path):
    async with bank(tmp_path) as partner:
        merchant = Merchant(partner)
        merchant.notify_url = "http://127.0.0.1:9/notices"
        yield merchant


async def until(condition, *, seconds: float = 5):
    """Poll, because a notice comes when the partner sends it."""
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("did not happen in time")


async def test_a_payment_is_told_once_it_is_acknowledged(merchant):
    async with listener(b"success") as (url, came):
        merchant.notify_url = url
        await merchant.create(body="窗口办理", passback_params="case%3D7%26x%3D1")
        paid = (await merchant.pay()).json
        await until(lambda: came)
        await merchant.control("POST", "/settle")
    (notice,) = came
    fields = notice.fields
    assert notice.headers["content-type"] == "application/x-www-form-urlencoded; charset=utf-8"
    assert is_genuine(merchant, notice)
    assert (fields["notify_type"], fields["notify_id"]) == ("trade_status_sync", paid["event_id"])
    assert (fields["app_id"], fields["seller_id"], fields["out_trade_no"]) == (APP_ID, SELLER_ID, NUMBER)
    assert (fields["trade_status"], fields["total_amount"]) == ("TRADE_SUCCESS", "10.00")
    assert (fields["subject"], fields["body"]) == ("老年人优待证补办工本费", "窗口办理")
    assert fields["passback_params"] == "case%3D7%26x%3D1"
    assert fields["fund_bill_list"] == '[{"amount":"10.00","fundChannel":"ALIPAYACCOUNT"}]'
    assert fields["gmt_payment"] == (await merchant.query()).node["send_pay_date"]
    tries = (await merchant.control("GET", f"/orders/{NUMBER}")).json["notices"][0]["tries"]
    assert [(one["status"], one["body"]) for one in tries] == [(200, "success")]


@pytest.mark.parametrize(
    "answer", [b'"success"', b"success\n", b"SUCCESS", b"<p>success</p>", b"", b"fail", 500, 302, 204]
)
async def test_anything_but_the_seven_bytes_is_repeated_with_the_same_id(merchant, answer):
    await merchant.config(time_scale=0.00001)
    async with listener(answer, answer, b"success") as (url, came):
        merchant.notify_url = url
        await merchant.create()
        await merchant.pay()
        await until(lambda: len(came) == 3)
        await merchant.control("POST", "/settle")
    assert len(came) == 3
    assert all(is_genuine(merchant, notice) for notice in came)
    assert len({notice.fields["notify_id"] for notice in came}) == 1


async def test_the_ladder_has_seven_repeats_and_then_ends(merchant):
    await merchant.config(time_scale=0)
    async with listener(b"fail") as (url, came):
        merchant.notify_url = url
        await merchant.create()
        await merchant.pay()
        await until(lambda: len(came) == 8)
        await asyncio.sleep(0.1)
        assert len(came) == 8
        assert (await merchant.control("GET", "/callbacks")).json["callbacks"][0]["state"] == "given_up"


async def test_a_repeat_survives_a_restart(tmp_path):
    async with listener(b"fail", b"success") as (url, came):
        async with bank(tmp_path) as partner:
            merchant = Merchant(partner)
            merchant.notify_url = url
            await merchant.config(time_scale=0.002)
            await merchant.create()
            await merchant.pay()
            await until(lambda: came)
            await asyncio.sleep(0.05)
        async with bank(tmp_path) as partner:
            await until(lambda: len(came) == 2)
            assert came[0].fields["notify_id"] == came[1].fields["notify_id"]
            assert is_genuine(Merchant(partner), came[1])


async def test_nothing_is_told_when_nobody_asked_for_it(merchant):
    async with listener(b"success") as (url, came):
        merchant.notify_url = None
        await merchant.create()
        assert (await merchant.pay()).json["event_id"] is None
        merchant.notify_url = url
        await merchant.create(out_trade_no="ZSB2")
        await merchant.pay("ZSB2", notify=False)
        await merchant.create(out_trade_no="ZSB3")
        await merchant.close("ZSB3")
        await merchant.refund("10.00", "R1")
        await merchant.create(out_trade_no="ZSB4")
        await merchant.pay("ZSB4", finished=True)
        await merchant.control("POST", "/settle")
        assert came == []


async def test_what_some_integrators_see_beside_the_payment_can_be_switched_on(merchant):
    await merchant.config(extra_notices=["refund", "closed", "finished"], time_scale=0)
    async with listener(b"success") as (url, came):
        merchant.notify_url = url
        await merchant.paid()
        await merchant.refund("4.00", "R1")
        await merchant.refund("6.00", "R2")
        await until(lambda: len(came) == 3)
        await merchant.paid(out_trade_no="ZSB2")
        await merchant.control("POST", "/orders/ZSB2/finish")
        await until(lambda: len(came) == 4)
    assert all(is_genuine(merchant, notice) for notice in came)
    seen = sorted((n.fields["trade_status"], n.fields.get("refund_fee"), n.fields.get("out_biz_no")) for n in came[:3] if "refund_fee" in n.fields)  # fmt: skip
    assert seen == [("TRADE_CLOSED", "10.00", "R2"), ("TRADE_SUCCESS", "4.00", "R1")]
    (closed,) = [n.fields for n in came[:3] if "refund_fee" not in n.fields]
    assert (closed["trade_status"], bool(closed["gmt_close"]), bool(closed["gmt_payment"])) == ("TRADE_CLOSED", True, True)  # fmt: skip
    assert came[3].fields["trade_status"] == "TRADE_FINISHED"
    assert len({n.fields["notify_id"] for n in came}) == 4


# -- played notices ----------------------------------------------------------------------------------------------------


async def play(merchant, **wish) -> Notice:
    got = await merchant.control("POST", NOTIFY, {"about": {"out_trade_no": NUMBER}, "deliver": False, **wish})
    assert got.status == 200, got.body
    request = got.json["request"]
    headers = {name.lower(): value for name, value in request["headers"].items()}
    return Notice(headers, base64.b64decode(request["body_base64"]))


@pytest.fixture
async def paid(merchant):
    await merchant.paid()
    return merchant


async def test_an_untouched_notice_verifies_in_either_mode(paid):
    for mode in ("key", "cert"):
        assert is_genuine(paid, await play(paid, mode=mode))


@pytest.mark.parametrize(
    "tamper",
    [
        *("body_byte", "signature_byte", "other_key", "app_key", "sha1_as_rsa2", "sha1_as_rsa", "sha256_as_rsa"),
        *("no_sign_type", "no_sign", "duplicate_field", "drop_field:seller_id", "encoded_twice"),
    ],
)
async def test_a_spoiled_notice_is_not_genuine(paid, tamper):
    assert not is_genuine(paid, await play(paid, tamper=tamper))


async def test_a_spoiled_notice_is_spoiled_in_exactly_the_named_way(paid):
    for tamper, label in (("sha1_as_rsa2", "RSA2"), ("sha1_as_rsa", "RSA")):
        notice = await play(paid, tamper=tamper)
        assert notice.fields["sign_type"] == label
        assert paid.is_proof(notice.fields["sign"], notice.base(), algorithm=hashes.SHA1())
    notice = await play(paid, tamper="sha256_as_rsa")
    assert notice.fields["sign_type"] == "RSA"
    assert paid.is_proof(notice.fields["sign"], notice.base())
    notice = await play(paid, tamper="no_sign_type")
    assert "sign_type" not in notice.fields
    assert paid.is_proof(notice.fields["sign"], notice.base())
    notice = await play(paid, tamper="app_key")
    assert paid.is_proof(notice.fields["sign"], notice.base(), stem="ali_app")
    notice = await play(paid, tamper="duplicate_field")
    assert [v for k, v in notice.pairs if k == "total_amount"] == ["10.00", "0.01"]
    assert (await play(paid, tamper="body_byte")).fields["total_amount"] == "10.01"
    assert (await play(paid, tamper="json")).headers["content-type"] == "application/json"


async def test_a_notice_may_still_be_signed_with_the_key_before_the_rotation(paid):
    assert is_genuine(paid, await play(paid, tamper="old_key"))  # nothing was rotated yet
    await paid.control("POST", "/keys/rotate", {"what": "alipay_certificate"})
    notice = await play(paid, tamper="old_key")
    assert not is_genuine(paid, notice)
    assert paid.is_proof(notice.fields["sign"], notice.base(), stem="ali_plat_old")


async def test_hostile_and_empty_values_survive_the_form(paid):
    hostile = {"passback_params": "a=1&b=2+3%20%2B", "subject": "张桂兰&费=10+%", "body": "", "extra": ""}
    notice = await play(paid, override=hostile)
    assert {name: notice.fields[name] for name in hostile} == hostile
    assert is_genuine(paid, notice)
    assert not is_genuine(paid, notice, blanks=True)
    kept = await play(paid, override=hostile, sign_over="all")
    assert is_genuine(paid, kept, blanks=True)
    assert not is_genuine(paid, kept)
    with_type = await play(paid, override=hostile, sign_over="with_sign_type")
    assert is_genuine(paid, with_type, blanks=True, sign_type=True)


async def test_a_notice_speaks_the_charset_of_the_request(merchant):
    await merchant.call("alipay.trade.create", order(), charset="gbk")
    await merchant.pay(notify=False)
    notice = await play(merchant)
    assert (notice.fields["charset"], notice.fields["subject"]) == ("gbk", order()["subject"])
    assert is_genuine(merchant, notice)


async def test_good_signatures_over_wrong_content(paid):
    notice = await play(paid, override={"total_amount": "0.01", "app_id": "2021000000000002", "seller_id": None})
    assert (notice.fields["total_amount"], notice.fields["app_id"]) == ("0.01", "2021000000000002")
    assert "seller_id" not in notice.fields
    assert is_genuine(paid, notice)


@pytest.mark.parametrize("event", ["TRADE_FINISHED", "TRADE_CLOSED", "WAIT_BUYER_PAY"])
async def test_any_state_can_be_told_after_the_payment(paid, event):
    notice = await play(paid, event=event, event_id="once")
    assert (notice.fields["trade_status"], notice.fields["notify_id"]) == (event, "once")
    assert is_genuine(paid, notice)


async def test_copies_are_the_same_bytes_and_a_notice_can_be_sent_again(merchant):
    async with listener(b"success") as (url, came):
        merchant.notify_url = url
        await merchant.create()
        event_id = (await merchant.pay()).json["event_id"]
        await until(lambda: came)
        got = (await merchant.control("POST", NOTIFY, {"resend": event_id, "copies": 5, "parallel": True})).json
        assert [answer["body"] for answer in got["answers"]] == ["success"] * 5
        assert len({notice.body for notice in came[1:]}) == 1
        assert {notice.fields["notify_id"] for notice in came} == {event_id}


async def test_a_refund_notice_can_be_played(paid):
    await paid.refund("4.00", "R1")
    notice = await play(paid, about={"out_request_no": "R1"})
    fields = notice.fields
    assert (fields["trade_status"], fields["refund_fee"], fields["out_biz_no"]) == ("TRADE_SUCCESS", "4.00", "R1")
    assert is_genuine(paid, notice)


@pytest.mark.parametrize(
    "wish",
    [
        {"tamper": "signtest"}, {"mode": "certificate"}, {"sign_over": "some"}, {"event": "PAID"}, {"copies": 0},
        {"about": {"out_trade_no": "unknown"}}, {"about": {}}, {"about": 1}, {"resend": "unknown"}, {"override": []},
        {"skew_s": "1"},
    ],
)  # fmt: skip
async def test_a_wish_that_makes_no_sense_is_refused(paid, wish):
    got = await paid.control("POST", NOTIFY, {"about": {"out_trade_no": NUMBER}, "deliver": False, **wish})
    assert got.status in (400, 404)
    assert got.json["error"]
