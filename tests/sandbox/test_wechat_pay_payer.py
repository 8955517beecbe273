"""The payer's side: the phone's payment call with its client signature, and the H5 page."""

import secrets
import time
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from tests.sandbox.wechat_pay_caller import APPID, Merchant, bank, h5_order

NUMBER = "ZSB00000000000000000000001"


@pytest.fixture
async def merchant(tmp_path):
    async with bank(tmp_path) as partner:
        merchant = Merchant(partner)
        await merchant.control("POST", "/config", {"auto_notify": False})
        yield merchant


def phone_call(merchant, prepay_id: str, **change) -> dict:
    call = {
        "timeStamp": str(int(time.time())),
        "nonceStr": secrets.token_hex(16),
        "package": f"prepay_id={prepay_id}",
        "signType": "RSA",
    }
    signed = f"{APPID}\n{call['timeStamp']}\n{call['nonceStr']}\n{call['package']}\n".encode()
    return {**call, "paySign": merchant.sign(signed), **change}


async def request_payment(merchant, wish: dict) -> str:
    return (await merchant.control("POST", "/request-payment", wish)).json["errMsg"]


async def test_a_right_call_pays(merchant):
    prepay_id = (await merchant.place()).json["prepay_id"]
    assert await request_payment(merchant, phone_call(merchant, prepay_id)) == "requestPayment:ok"
    assert (await merchant.query(NUMBER)).json["trade_state"] == "SUCCESS"
    assert "已支付" in await request_payment(merchant, phone_call(merchant, prepay_id))


@pytest.mark.parametrize(
    "change",
    [
        {"paySign": "AAAA"},
        {"signType": "MD5"},
        {"timeStamp": "1"},
        {"timeStamp": 1700000000},
        {"nonceStr": ""},
        {"package": "prepay_id=wx0"},
        {"appId": "wx0000000000000000"},
        {"openid": "oSomebodyElse"},
        {"outcome": "cancel"},
    ],
)
async def test_a_wrong_call_pays_nothing(merchant, change):
    prepay_id = (await merchant.place()).json["prepay_id"]
    assert (await request_payment(merchant, phone_call(merchant, prepay_id, **change))).startswith(
        "requestPayment:fail"
    )
    assert (await merchant.query(NUMBER)).json["trade_state"] == "NOTPAY"


async def test_the_signature_covers_the_prefix_and_the_session_ends_after_two_hours(merchant):
    prepay_id = (await merchant.place()).json["prepay_id"]
    bare = phone_call(merchant, prepay_id)
    bare["paySign"] = merchant.sign(f"{APPID}\n{bare['timeStamp']}\n{bare['nonceStr']}\n{prepay_id}\n".encode())
    assert "签名" in await request_payment(merchant, bare)
    await merchant.control("POST", "/clock", {"offset_s": 7205})
    assert "过期" in await request_payment(merchant, phone_call(merchant, prepay_id))


async def test_a_payment_after_the_order_expired_is_refused(merchant):
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    prepay_id = (await merchant.place(time_expire=soon)).json["prepay_id"]
    await merchant.control("POST", "/clock", {"offset_s": 65})
    assert "过期" in await request_payment(merchant, phone_call(merchant, prepay_id))


async def test_the_h5_page_asks_and_pays(merchant):
    h5_url = (await merchant.call("POST", "/v3/pay/transactions/h5", h5_order(NUMBER, description="<b>费"))).json[
        "h5_url"
    ]
    async with aiohttp.ClientSession() as browser:
        async with browser.get(f"{h5_url}&redirect_url=https%3A%2F%2Fzsb.example.gov.cn%2Fback") as page:
            shown = await page.text()
        assert "10.00 元" in shown and "&lt;b&gt;费" in shown and "https://zsb.example.gov.cn/back" in shown
        form = {
            "prepay_id": parse_qs(urlsplit(h5_url).query)["prepay_id"][0],
            "choice": "pay",
            "redirect_url": "https://zsb.example.gov.cn/back",
        }
        async with browser.post(h5_url.partition("?")[0], data=form, allow_redirects=False) as done:
            assert (done.status, done.headers["Location"]) == (302, "https://zsb.example.gov.cn/back")
        async with browser.get(h5_url) as page:
            assert page.status == 400 and "已支付" in await page.text()
    assert (await merchant.query(NUMBER)).json["trade_type"] == "MWEB"
