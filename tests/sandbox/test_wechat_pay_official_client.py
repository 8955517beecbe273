"""Somebody else's APIv3 client, unchanged, against our sandbox: proof that the sandbox is not tuned to our own client."""

import asyncio
import json
from types import SimpleNamespace

import pytest
import requests
import wechatpayv3.core
from wechatpayv3 import WeChatPay, WeChatPayType

from tests.sandbox.wechat_pay_caller import APPID, MCHID, NOTIFY, Merchant, bank, listener

NUMBER = "ZSB00000000000000000000001"
OFFICIAL_HOST = "https://api.mch.weixin.qq.com"


@pytest.fixture(params=["public_key", "certificate"])
async def shop(tmp_path, monkeypatch, request):
    """The client as a merchant installs it; only the host name leads to the sandbox, as a DNS entry would."""
    async with bank(tmp_path) as partner:
        merchant = Merchant(partner, mode=request.param)
        await merchant.control("POST", "/config", {"notice_mode": request.param})

        def towards_sandbox(send):
            return lambda url, **more: send(url.replace(OFFICIAL_HOST, partner.url), **more)

        redirected = SimpleNamespace(get=towards_sandbox(requests.get), post=towards_sandbox(requests.post))
        monkeypatch.setattr(wechatpayv3.core, "requests", redirected)
        public = (merchant.folder / "wx_pub.pub.pem").read_text()
        by_public_key = {"public_key": public, "public_key_id": merchant.public_id}
        client = await asyncio.to_thread(
            WeChatPay,
            wechatpay_type=WeChatPayType.MINIPROG,
            mchid=MCHID,
            private_key=(merchant.folder / "wx_mch.p8.pem").read_text(),
            cert_serial_no=merchant.serial,
            appid=APPID,
            apiv3_key=merchant.apiv3,
            notify_url=NOTIFY,
            **(by_public_key if request.param == "public_key" else {}),
        )
        yield client, merchant


async def call(method, **arguments):
    """The client is synchronous; it returns (status, text)."""
    status, text = await asyncio.to_thread(method, **arguments)
    return status, json.loads(text) if text else None


ORDER = {
    "description": "老年人优待证补办工本费",
    "out_trade_no": NUMBER,
    "amount": {"total": 1000, "currency": "CNY"},
    "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
}


async def test_order_query_close(shop):
    client, _ = shop
    status, placed = await call(client.pay, **ORDER)
    assert status == 200 and placed["prepay_id"].startswith("wx")
    status, order = await call(client.query, out_trade_no=NUMBER)
    assert (status, order["trade_state"]) == (200, "NOTPAY")
    assert await call(client.close, out_trade_no=NUMBER) == (204, None)
    status, order = await call(client.query, out_trade_no=NUMBER)
    assert order["trade_state"] == "CLOSED"
    status, refused = await call(client.pay, **ORDER)
    assert (status, refused["code"]) == (400, "ORDER_CLOSED")


async def test_h5_order(shop):
    client, _ = shop
    scene = {"payer_client_ip": "14.23.150.211", "h5_info": {"type": "Wap"}}
    order = {name: value for name, value in ORDER.items() if name != "payer"} | {"scene_info": scene}
    status, placed = await call(client.pay, **order, pay_type=WeChatPayType.H5)
    assert status == 200 and "prepay_id=" in placed["h5_url"]


async def test_the_phone_accepts_the_clients_signature_and_the_client_reads_the_notice(shop):
    client, merchant = shop
    async with listener(204) as (url, came):
        _, placed = await call(client.pay, **ORDER, notify_url=url)
        package = f"prepay_id={placed['prepay_id']}"
        phone = {"timeStamp": "1700000000", "nonceStr": "abc", "package": package, "signType": "RSA"}
        phone["paySign"] = client.sign([APPID, phone["timeStamp"], phone["nonceStr"], package])
        assert (await merchant.control("POST", "/request-payment", phone)).json == {"errMsg": "requestPayment:ok"}
        await merchant.control("POST", "/settle")
        told = await asyncio.to_thread(client.callback, came[0].headers, came[0].body)
        _, order = await call(client.query, transaction_id=told["resource"]["transaction_id"])
        assert told["event_type"] == "TRANSACTION.SUCCESS"
        assert told["resource"] == order and order["trade_state"] == "SUCCESS"


async def test_the_client_refuses_what_the_sandbox_spoils(shop):
    client, merchant = shop
    await call(client.pay, **ORDER)
    await merchant.control("POST", f"/orders/{NUMBER}/pay", {"notify": False})
    for tamper in ("body_byte", "signature_byte", "other_key", "swapped_nonce"):
        wish = {"about": {"out_trade_no": NUMBER}, "tamper": tamper, "deliver": False, "mode": merchant.mode}
        request = (await merchant.control("POST", "/notifications", wish)).json["request"]
        assert await asyncio.to_thread(client.callback, request["headers"], request["body"]) is None
    await merchant.control("POST", "/faults", {"match": {"call": "query"}, "effect": {"signature": "other_key"}})
    with pytest.raises(Exception, match="failed to verify the signature"):
        await call(client.query, out_trade_no=NUMBER)


async def test_refund(shop):
    client, merchant = shop
    await call(client.pay, **ORDER)
    await merchant.control("POST", f"/orders/{NUMBER}/pay", {"notify": False})
    amount = {"refund": 1000, "total": 1000, "currency": "CNY"}
    status, refund = await call(client.refund, out_refund_no="R1", out_trade_no=NUMBER, amount=amount)
    assert (status, refund["status"]) == (200, "PROCESSING")
    status, refund = await call(client.query_refund, out_refund_no="R1")
    assert (status, refund["amount"]["refund"]) == (200, 1000)
