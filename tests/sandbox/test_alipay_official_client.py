"""The official `alipay-sdk-python` against the Alipay partner: whatever it builds and signs must be taken as it is.

Its own transport ignores the port of the address (it always connects to 80) and dies with a TypeError on an address
that has one. So the address given to it has no port, and the connection it opens is led to the sandbox's port; nothing
else of it is changed. Its parser cannot read certificate mode, so answers are read by the SDK in key mode only.
"""

import asyncio
import base64
import http.client
import json
import time
from urllib.parse import unquote_plus, urlencode

import pytest
from alipay.aop.api.AlipayClientConfig import AlipayClientConfig
from alipay.aop.api.DefaultAlipayClient import DefaultAlipayClient
from alipay.aop.api.domain.AlipayDataDataserviceBillDownloadurlQueryModel import (
    AlipayDataDataserviceBillDownloadurlQueryModel,
)
from alipay.aop.api.domain.AlipayTradeCloseModel import AlipayTradeCloseModel
from alipay.aop.api.domain.AlipayTradeCreateModel import AlipayTradeCreateModel
from alipay.aop.api.domain.AlipayTradeFastpayRefundQueryModel import AlipayTradeFastpayRefundQueryModel
from alipay.aop.api.domain.AlipayTradeQueryModel import AlipayTradeQueryModel
from alipay.aop.api.domain.AlipayTradeRefundModel import AlipayTradeRefundModel
from alipay.aop.api.domain.AlipayTradeWapPayModel import AlipayTradeWapPayModel
from alipay.aop.api.exception.Exception import ResponseException
from alipay.aop.api.request.AlipayDataDataserviceBillDownloadurlQueryRequest import (
    AlipayDataDataserviceBillDownloadurlQueryRequest,
)
from alipay.aop.api.request.AlipayTradeCloseRequest import AlipayTradeCloseRequest
from alipay.aop.api.request.AlipayTradeCreateRequest import AlipayTradeCreateRequest
from alipay.aop.api.request.AlipayTradeFastpayRefundQueryRequest import AlipayTradeFastpayRefundQueryRequest
from alipay.aop.api.request.AlipayTradeQueryRequest import AlipayTradeQueryRequest
from alipay.aop.api.request.AlipayTradeRefundRequest import AlipayTradeRefundRequest
from alipay.aop.api.request.AlipayTradeWapPayRequest import AlipayTradeWapPayRequest
from alipay.aop.api.util import WebUtils
from cryptography.hazmat.primitives import serialization

from tests.sandbox.alipay_caller import APP_ID, NUMBER, OPEN_ID, Merchant, bank, fetch, hidden, members


@pytest.fixture
async def merchant(tmp_path):
    async with bank(tmp_path) as partner:
        yield Merchant(partner)


@pytest.fixture(autouse=True)
def beijing_time(monkeypatch):
    """The SDK stamps with the process's own clock."""
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Sdk:
    """The official client with the keys of a sandbox run, given as its users give them."""

    def __init__(self, merchant, monkeypatch) -> None:
        self.merchant = merchant
        config = AlipayClientConfig()
        config.server_url = "http://127.0.0.1/gateway.do"
        config.app_id = APP_ID
        config.app_private_key = (merchant.folder / "ali_app.p1.pem").read_text()
        config.alipay_public_key = _bare(merchant.folder / "ali_plat.pub.pem")
        self.client = DefaultAlipayClient(config)

        class Redirected(http.client.HTTPConnection):
            def __init__(self, host, port, **more):
                assert (host, port) == ("127.0.0.1", 80)
                super().__init__(host, merchant.partner.port, **more)

        monkeypatch.setattr(WebUtils.httplib, "HTTPConnection", Redirected)

    async def execute(self, request) -> dict:
        """The SDK's own call, answer parser and signature check, off the event loop because it blocks."""
        return json.loads(await asyncio.to_thread(self.client.execute, request))


@pytest.fixture
def sdk(merchant, monkeypatch):
    return Sdk(merchant, monkeypatch)


def _bare(path) -> str:
    return "".join(line for line in path.read_text().splitlines() if "-----" not in line)


def filled(request, model, **fields):
    """A request of the SDK with its model."""
    for name, value in fields.items():
        setattr(model, name, value)
    request.biz_model = model
    return request


def create(**change):
    fields = {
        "out_trade_no": NUMBER, "total_amount": "10.00", "subject": "老年人优待证补办工本费", "product_code": "JSAPI_PAY",
        "op_app_id": "2021000000000002", "buyer_open_id": OPEN_ID, **change,
    }  # fmt: skip
    return filled(AlipayTradeCreateRequest(), AlipayTradeCreateModel(), **fields)


def query(number=NUMBER):
    return filled(AlipayTradeQueryRequest(), AlipayTradeQueryModel(), out_trade_no=number)


async def test_the_whole_life_of_a_trade_through_the_sdk_s_own_transport(merchant, sdk):
    await merchant.config(time_scale=0)
    request = create()
    request.notify_url = "http://127.0.0.1:9/notices"
    made = await sdk.execute(request)
    assert (made["code"], made["out_trade_no"]) == ("10000", NUMBER)
    assert (await sdk.execute(create()))["trade_no"] == made["trade_no"]
    assert (await sdk.execute(query()))["trade_status"] == "WAIT_BUYER_PAY"
    await merchant.pay(notify=False)
    assert (await sdk.execute(query()))["trade_status"] == "TRADE_SUCCESS"
    refund = filled(AlipayTradeRefundRequest(), AlipayTradeRefundModel(), out_trade_no=NUMBER, refund_amount="4.00", out_request_no="R1", refund_reason="多缴")  # fmt: skip
    assert (await sdk.execute(refund))["fund_change"] == "Y"
    assert (await sdk.execute(refund))["fund_change"] == "N"
    asked = filled(AlipayTradeFastpayRefundQueryRequest(), AlipayTradeFastpayRefundQueryModel(), out_trade_no=NUMBER, out_request_no="R1", query_options=["gmt_refund_pay"])  # fmt: skip
    assert (await sdk.execute(asked))["refund_status"] == "REFUND_SUCCESS"
    close = filled(AlipayTradeCloseRequest(), AlipayTradeCloseModel(), out_trade_no=NUMBER)
    assert (await sdk.execute(close))["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert (await sdk.execute(query("unknown")))["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    shown = (await merchant.control("GET", f"/orders/{NUMBER}")).json
    assert shown["request"]["subject"] == "老年人优待证补办工本费"
    lines = (await merchant.control("GET", "/requests")).json["requests"]
    assert {line["verdict"] for line in lines} == {"ok"}


async def test_the_sdk_asks_for_a_bill(merchant, sdk):
    await merchant.control("POST", "/statements/2026-03-01", {"ready": True})
    request = filled(
        AlipayDataDataserviceBillDownloadurlQueryRequest(), AlipayDataDataserviceBillDownloadurlQueryModel(),
        bill_type="trade", bill_date="2026-03-01", secure="true",
    )  # fmt: skip
    got = await sdk.execute(request)
    assert (await fetch("GET", got["bill_download_url"])).body.startswith(b"PK")


async def test_the_sdk_sees_a_bad_proof_and_cannot_read_an_unsigned_answer(merchant, sdk):
    await sdk.execute(create())
    await merchant.fault("alipay.trade.query", {"signature": "other_key"})
    with pytest.raises(ResponseException, match="sign verify failed"):
        await sdk.execute(query())
    await merchant.fault("alipay.trade.query", {"code": "20000"})
    with pytest.raises(ResponseException, match="shape maybe illegal"):
        await sdk.execute(query())


async def test_the_sdk_takes_sha1_for_good_which_is_why_it_must_not_verify(merchant, sdk):
    await sdk.execute(create())
    await merchant.fault("alipay.trade.query", {"signature": "sha1"})
    assert (await sdk.execute(query()))["code"] == "10000"
    got = await merchant.query()
    text = members(got.body)["alipay_trade_query_response"]
    assert merchant.is_proof(got.json["sign"], text)  # without the fault the proof is SHA-256 and nothing else


@pytest.mark.parametrize("http_method", ["GET", "POST"])
async def test_the_sdk_s_payment_page_opens_the_cashier(merchant, sdk, http_method):
    request = filled(
        AlipayTradeWapPayRequest(), AlipayTradeWapPayModel(), out_trade_no=NUMBER, total_amount="10.00",
        subject="优待证", product_code="QUICK_WAP_WAY", quit_url="https://zsb.example.gov.cn/",
    )  # fmt: skip
    request.return_url = "https://zsb.example.gov.cn/back"
    made = sdk.client.page_execute(request, http_method=http_method)
    if http_method == "GET":
        page = await fetch("GET", made.replace("http://127.0.0.1/", f"{merchant.partner.url}/"))
    else:
        target = made.partition('action="')[2].partition('"')[0].replace("http://127.0.0.1", merchant.partner.url)
        body = urlencode({"biz_content": hidden(made, "biz_content").replace("&quot;", '"')})
        page = await fetch("POST", target, body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert "<title>cashier</title>" in page.body.decode()
    assert (await merchant.query()).node["trade_status"] == "WAIT_BUYER_PAY"


async def test_certificate_serials_given_to_the_sdk_are_sent_and_signed(merchant, sdk):
    await merchant.config(key_mode="cert")
    request = create()
    for name, value in merchant.serials().items():
        request.add_other_text_param(name, value)
    query_string = sdk.client.sdk_execute(request)
    got = await fetch("GET", f"{merchant.partner.url}/gateway.do?{query_string}")
    assert list(got.json) == ["alipay_trade_create_response", "alipay_cert_sn", "sign"]
    assert merchant.verifies(got)


async def test_both_key_forms_sign_alike(merchant, sdk):
    """The SDK reads only PKCS#1; the folder holds both forms of one key."""
    made = dict(pair.split("=", 1) for pair in sdk.client.sdk_execute(create()).split("&"))
    params = {name: unquote_plus(value) for name, value in made.items()}
    proof = params.pop("sign")
    again = merchant.params(params["method"], None, **{k: v for k, v in params.items() if k != "method"})
    assert again["sign"] == proof
    assert base64.b64decode(proof, validate=True)
    p8 = serialization.load_pem_private_key((merchant.folder / "ali_app.p8.pem").read_bytes(), None)
    assert p8.private_numbers() == merchant.private("ali_app", "p1").private_numbers()
