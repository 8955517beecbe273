"""The payer's side of the Alipay partner: the phone web cashier, the way back, and `my.tradePay`."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.sandbox.alipay_caller import NUMBER, SELLER_ID, Merchant, bank, fetch, hidden, listener, wap_order

WAP = "alipay.trade.wap.pay"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def merchant(tmp_path):
    async with bank(tmp_path) as partner:
        yield Merchant(partner)


def address(merchant, *, return_url="https://zsb.example.gov.cn/back?from=alipay", **change) -> dict:
    return merchant.params(WAP, wap_order(**change), return_url=return_url)


async def press(merchant, page, choice: str):
    body = urlencode({"token": hidden(page.body.decode(), "token"), "choice": choice})
    return await fetch("POST", f"{merchant.partner.url}/cashier", body, FORM)


@pytest.mark.parametrize("http", ["GET", "POST"])
async def test_the_trade_exists_only_once_the_cashier_is_open(merchant, http):
    signed = address(merchant, subject="<b>证费")
    assert (await merchant.query()).sub_code == "ACQ.TRADE_NOT_EXIST"
    assert (await merchant.close()).sub_code == "ACQ.TRADE_NOT_EXIST"
    page = await merchant.send(signed, http=http)
    text = page.body.decode()
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<title>cashier</title>" in text
    assert NUMBER in text
    assert "10.00 元" in text
    assert "<b>证" not in text
    assert (await merchant.query()).node["trade_status"] == "WAIT_BUYER_PAY"


async def test_paying_tells_the_merchant_and_leads_back_with_a_signed_hint(merchant):
    async with listener(b"success") as (url, came):
        merchant.notify_url = url
        page = await merchant.send(address(merchant), http="GET")
        done = await press(merchant, page, "pay")
        await merchant.control("POST", "/settle")
        assert came[0].fields["trade_status"] == "TRADE_SUCCESS"
    assert done.status == 302
    back = urlsplit(done.headers["location"])
    params = dict(parse_qsl(back.query, strict_parsing=True))
    assert (back.netloc, params["from"]) == ("zsb.example.gov.cn", "alipay")
    assert (params["out_trade_no"], params["total_amount"], params["seller_id"]) == (NUMBER, "10.00", SELLER_ID)
    base = "&".join(f"{k}={v}" for k, v in sorted(params.items()) if k not in ("sign", "sign_type", "from"))
    assert merchant.is_proof(params["sign"], base)
    assert (await merchant.query()).node["trade_status"] == "TRADE_SUCCESS"


async def test_the_same_page_twice_is_one_trade_and_is_paid_once(merchant):
    signed = address(merchant)
    first, second = await merchant.send(signed, http="GET"), await merchant.send(signed, http="GET")
    assert (await press(merchant, first, "pay")).status == 302
    assert "不会收两次钱" in (await press(merchant, second, "pay")).body.decode()
    shown = await merchant.send(signed, http="GET")
    assert "已经支付成功" in shown.body.decode()
    assert "返回商家" in shown.body.decode()
    assert len((await merchant.control("GET", f"/orders/{NUMBER}")).json["payments"]) == 1


async def test_declining_and_giving_up_leave_the_trade_payable(merchant):
    page = await merchant.send(address(merchant, quit_url="https://zsb.example.gov.cn/quit"), http="GET")
    assert "余额不足" in (await press(merchant, page, "decline")).body.decode()
    left = await press(merchant, page, "cancel")
    assert (left.status, left.headers["location"]) == (302, "https://zsb.example.gov.cn/quit")
    assert (await merchant.query()).node["trade_status"] == "WAIT_BUYER_PAY"
    assert (await press(merchant, page, "pay")).status == 302


async def test_without_a_return_address_the_page_says_what_happened(merchant):
    page = await merchant.send(merchant.params(WAP, wap_order()), http="GET")
    paid = await press(merchant, page, "pay")
    assert (paid.status, "付款成功" in paid.body.decode()) == (200, True)
    script = await merchant.send(address(merchant, return_url="javascript:alert(1)", out_trade_no="Z2"), http="GET")
    assert (await press(merchant, script, "pay")).status == 200
    lost = await fetch("POST", f"{merchant.partner.url}/cashier", "token=unknown&choice=pay", FORM)
    assert "页面已失效" in lost.body.decode()


async def test_a_page_opened_too_late_makes_no_trade(merchant):
    expired = await merchant.send(address(merchant, time_expire="2020-01-01 00:00:00"), http="GET")
    assert "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR" in expired.body.decode("gbk")
    signed = address(merchant, timeout_express="5m")
    await merchant.control("POST", "/clock", {"offset_s": 3600})
    assert "<title>cashier</title>" in (await merchant.send(signed, http="GET")).body.decode()  # an old address is good
    await merchant.control("POST", "/clock", {"offset_s": 7200})
    assert "已经关闭" in (await merchant.send(signed, http="GET")).body.decode()
    await merchant.control("POST", "/clock", {"offset_s": -3600})
    assert "isv.invalid-timestamp" in (await merchant.send(address(merchant, out_trade_no="Z3"), http="GET")).body.decode("gbk")  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"app_id": "1"}, "isv.invalid-app-id"),
        ({"sign_type": "RSA"}, "isv.invalid-signature-type"),
        ({"biz_content": "{"}, "isv.invalid-parameter"),
    ],
)
async def test_errors_are_shown_to_the_payer_in_gbk(merchant, change, code):
    page = await merchant.send(merchant.params(WAP, wap_order(), **change), http="GET")
    assert (page.status, page.headers["content-type"]) == (200, "text/html;charset=GBK")
    text = page.body.decode("gbk")
    assert "订单信息有误" in text
    assert code in text


async def test_the_old_product_code_is_a_mistake(merchant):
    page = await merchant.send(address(merchant, product_code="QUICK_WAP_PAY"), http="GET")
    assert "QUICK_WAP_WAY" in page.body.decode("gbk")
    assert (await merchant.query()).sub_code == "ACQ.TRADE_NOT_EXIST"


async def test_another_order_under_a_used_number_is_refused(merchant):
    await merchant.send(address(merchant), http="GET")
    page = await merchant.send(address(merchant, total_amount="9.00"), http="GET")
    assert "ACQ.CONTEXT_INCONSISTENT" in page.body.decode("gbk")


async def test_faults_reach_the_payer_too(merchant):
    await merchant.fault(WAP, {"code": "20000"})
    page = await merchant.send(address(merchant), http="GET")
    assert "isp.unknow-error" in page.body.decode("gbk")
    assert (await merchant.query()).sub_code == "ACQ.TRADE_NOT_EXIST"


async def test_the_phone_pays_a_created_trade(merchant):
    trade_no = (await merchant.create()).node["trade_no"]
    for outcome, code in (("cancel", "6001"), ("forgot_password", "99"), ("银行拒付", "4000"), ("pay", "9000")):
        got = await merchant.control("POST", "/trade-pay", {"tradeNO": trade_no, "outcome": outcome})
        assert got.json["resultCode"] == code
    assert (await merchant.query()).node["trade_status"] == "TRADE_SUCCESS"
    again = (await merchant.control("POST", "/trade-pay", {"tradeNO": trade_no})).json
    assert (again["resultCode"], "不会收两次钱" in again["memo"]) == ("4000", True)
    assert (await merchant.control("POST", "/trade-pay", {"tradeNO": "1"})).json["resultCode"] == "4000"
