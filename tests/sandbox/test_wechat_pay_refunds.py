"""Refunds of the WeChat Pay partner: accepted once per number, limited by the order, finished by an outcome, told."""

import asyncio
import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from tests.sandbox.wechat_pay_caller import NOTIFY, Merchant, bank, listener

NUMBER = "ZSB00000000000000000000001"
REFUNDS = "/v3/refund/domestic/refunds"


@pytest.fixture
async def merchant(tmp_path):
    async with bank(tmp_path) as partner:
        merchant = Merchant(partner)
        await merchant.place()
        await merchant.control("POST", f"/orders/{NUMBER}/pay", {"notify": False})
        yield merchant


async def refund(merchant, fen: int = 400, number: str = "R1", **change):
    body = {
        "out_trade_no": NUMBER,
        "out_refund_no": number,
        "reason": "申请人撤回",
        "notify_url": NOTIFY,
        "amount": {"refund": fen, "total": 1000, "currency": "CNY"},
        **change,
    }
    return await merchant.call("POST", REFUNDS, {name: value for name, value in body.items() if value is not ...})


async def state(merchant, number: str = "R1"):
    return (await merchant.call("GET", f"{REFUNDS}/{number}")).json


async def test_a_refund_is_accepted_before_it_is_done(merchant):
    got = await refund(merchant)
    assert got.status == 200 and merchant.verifies(got.headers, got.body)
    assert (got.json["status"], got.json["amount"]["refund"], got.json["channel"]) == ("PROCESSING", 400, "ORIGINAL")
    assert "success_time" not in got.json
    assert (await merchant.query(NUMBER)).json["trade_state"] == "REFUND"
    assert (await refund(merchant)).json["refund_id"] == got.json["refund_id"]
    await merchant.control("POST", "/refunds/R1/finish", {"status": "SUCCESS", "notify": False})
    done = await state(merchant)
    assert done["status"] == "SUCCESS" and done["success_time"].endswith("+08:00")
    assert (await merchant.control("POST", "/refunds/R1/finish", {"status": "CLOSED"})).status == 409
    seen = (await merchant.control("GET", "/refunds/R1")).json
    assert (seen["times_asked"], len(seen["body_sha256"])) == (2, 1)


async def test_the_same_number_with_another_content_is_refused(merchant):
    await refund(merchant)
    assert (await refund(merchant, 401)).code == "REFUND_FEE_MISMATCH"
    assert (await refund(merchant, reason="另一个原因")).code == "INVALID_REQUEST"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": {"refund": 1001, "total": 1000, "currency": "CNY"}}, "INVALID_REQUEST"),
        ({"amount": {"refund": 100, "total": 999, "currency": "CNY"}}, "INVALID_REQUEST"),
        ({"amount": {"refund": 100, "total": 1000}}, "PARAM_ERROR"),
        ({"amount": {"refund": 0, "total": 1000, "currency": "CNY"}}, "PARAM_ERROR"),
        ({"out_trade_no": "UNKNOWN1"}, "RESOURCE_NOT_EXISTS"),
        ({"out_trade_no": ...}, "PARAM_ERROR"),
        ({"transaction_id": "4200000000000000000000000000"}, "RESOURCE_NOT_EXISTS"),
        ({"attach": "x"}, "PARAM_ERROR"),
    ],
)
async def test_a_wrong_refund_is_refused(merchant, change, code):
    assert (await refund(merchant, **change)).code == code
    missing = await merchant.call("GET", f"{REFUNDS}/R1")
    assert (missing.status, missing.code) == (404, "RESOURCE_NOT_EXISTS")


async def test_an_unpaid_order_has_nothing_to_refund(merchant):
    await merchant.place(out_trade_no="UNPAID01")
    assert (await refund(merchant, out_trade_no="UNPAID01")).status == 404


async def test_parts_add_up_and_keep_a_minute_between_them(merchant):
    await refund(merchant, 400, "R1")
    assert (await refund(merchant, 100, "R2")).status == 429
    await merchant.control("POST", "/config", {"time_scale": 0})
    assert (await refund(merchant, 700, "R2")).code == "INVALID_REQUEST"
    assert (await refund(merchant, 600, "R3")).status == 200
    await merchant.control("POST", "/refunds/R1/finish", {"status": "CLOSED", "notify": False})
    assert (await refund(merchant, 400, "R4")).status == 200


async def test_an_empty_merchant_account_refuses_until_topped_up(merchant):
    await merchant.control("POST", "/config", {"balance_fen": 100})
    got = await refund(merchant)
    assert (got.status, got.code) == (403, "NOT_ENOUGH") and merchant.verifies(got.headers, got.body)
    await merchant.control("POST", "/config", {"balance_fen": None})
    assert (await refund(merchant)).status == 200


@pytest.mark.parametrize("outcome", ["SUCCESS", "CLOSED", "ABNORMAL"])
async def test_every_outcome_is_told_in_its_own_words(merchant, outcome):
    async with listener(204) as (url, came):
        await merchant.control("POST", "/config", {"auto_refund": outcome, "time_scale": 0})
        await refund(merchant, notify_url=url)
        for _ in range(300):
            if came:
                break
            await asyncio.sleep(0.01)
        told = came[0].json
        plain = json.loads(merchant.open(told["resource"]))
        assert merchant.verifies(came[0].headers, came[0].body)
        assert (told["event_type"], told["resource"]["original_type"]) == (f"REFUND.{outcome}", "refund")
        assert plain["refund_status"] == outcome and "status" not in plain and "appid" not in plain
        assert ("success_time" in plain) is (outcome == "SUCCESS")
        assert (await state(merchant))["status"] == outcome


async def test_an_abnormal_refund_can_go_to_a_bank_card(merchant):
    refund_id = (await refund(merchant)).json["refund_id"]
    target = f"{REFUNDS}/{refund_id}/apply-abnormal-refund"

    def seal(text: str) -> str:
        public = serialization.load_pem_public_key((merchant.folder / "wx_pub.pub.pem").read_bytes())
        scheme = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
        return base64.b64encode(public.encrypt(text.encode(), scheme)).decode()

    card = {
        "out_refund_no": "R1",
        "type": "USER_BANK_CARD",
        "bank_type": "ICBC_DEBIT",
        "bank_account": seal("6222000000000000"),
        "real_name": seal("张三"),
    }
    assert (await merchant.call("POST", target, card)).code == "INVALID_REQUEST"
    await merchant.control("POST", "/refunds/R1/finish", {"status": "ABNORMAL", "notify": False})
    assert (await merchant.call("POST", target, {**card, "real_name": "张三"})).code == "PARAM_ERROR"
    assert (await merchant.call("POST", target, card)).json["status"] == "PROCESSING"
