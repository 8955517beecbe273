"""The WeChat Pay partner over real HTTP: who may call, how answers are proven, what an order's life looks like."""

import subprocess
import time

import pytest

from tests.sandbox.wechat_pay_caller import APPID, MCHID, Merchant, bank, h5_order, jsapi_order

NUMBER = "ZSB00000000000000000000001"
JSAPI, H5 = "/v3/pay/transactions/jsapi", "/v3/pay/transactions/h5"


@pytest.fixture
async def merchant(tmp_path):
    async with bank(tmp_path) as partner:
        yield Merchant(partner)


async def test_an_order_gets_a_prepay_id_and_the_answer_proves_itself(merchant):
    got = await merchant.place()
    assert got.status == 200
    assert got.json["prepay_id"].startswith("wx") and len(got.json["prepay_id"]) == 36
    assert got.headers["wechatpay-serial"] == merchant.public_id
    assert got.headers["wechatpay-signature-type"] == "WECHATPAY2-SHA256-RSA2048"
    assert got.headers["content-type"] == "application/json; charset=utf-8" and got.headers["request-id"]
    assert merchant.verifies(got.headers, got.body)
    assert not merchant.verifies(got.headers, got.body + b" ")


async def test_the_openssl_command_line_agrees_with_both_signatures(merchant, tmp_path):
    """A second opinion that shares no code: openssl signs our request and checks the answer."""
    target, stamp, nonce = f"/v3/pay/transactions/out-trade-no/{NUMBER}?mchid={MCHID}", str(int(time.time())), "n" * 32
    await merchant.place()
    (tmp_path / "asked").write_bytes(f"GET\n{target}\n{stamp}\n{nonce}\n\n".encode())
    key = merchant.folder / "wx_mch.p1.pem"
    run = ["openssl", "dgst", "-sha256", "-sign", key, "-out", tmp_path / "proof", tmp_path / "asked"]
    subprocess.run(run, check=True, capture_output=True)
    proof = subprocess.run(["openssl", "base64", "-A", "-in", tmp_path / "proof"], check=True, capture_output=True)
    got = await merchant.call("GET", target, timestamp=stamp, nonce_str=nonce, signature=proof.stdout.decode())
    assert got.status == 200

    stamp, nonce = got.headers["wechatpay-timestamp"], got.headers["wechatpay-nonce"]
    (tmp_path / "answered").write_bytes(f"{stamp}\n{nonce}\n".encode() + got.body + b"\n")
    (tmp_path / "sig64").write_text(got.headers["wechatpay-signature"])
    unpack = ["openssl", "base64", "-d", "-A", "-in", tmp_path / "sig64", "-out", tmp_path / "sig"]
    subprocess.run(unpack, check=True, capture_output=True)
    public = merchant.folder / "wx_pub.pub.pem"
    check = ["openssl", "dgst", "-sha256", "-verify", public, "-signature", tmp_path / "sig", tmp_path / "answered"]
    assert b"Verified OK" in subprocess.run(check, check=True, capture_output=True).stdout


async def test_closing_is_proven_although_the_answer_has_no_body(merchant):
    await merchant.place()
    for _ in range(2):  # re-entrant
        got = await merchant.close(NUMBER)
        assert (got.status, got.body) == (204, b"")
        assert merchant.verifies(got.headers, b"")
    assert (await merchant.query(NUMBER)).json["trade_state"] == "CLOSED"
    again = await merchant.place()
    assert (again.status, again.code) == (400, "ORDER_CLOSED")
    assert merchant.verifies(again.headers, again.body)  # a conclusion about the order is signed


# -- who may call ------------------------------------------------------------------------------------------------------


async def test_field_order_and_the_spelling_of_the_serial_do_not_matter(merchant):
    assert merchant.serial.startswith("0")
    await merchant.place()
    target = f"/v3/pay/transactions/out-trade-no/{NUMBER}?mchid={MCHID}"
    for serial in (merchant.serial, merchant.serial.lower(), merchant.serial.lstrip("0")):
        order = ("signature", "serial_no", "timestamp", "mchid", "nonce_str")
        assert (await merchant.call("GET", target, serial_no=serial, order=order)).status == 200


@pytest.mark.parametrize("skew_s", [-299, 298])
async def test_a_clock_within_five_minutes_is_accepted(merchant, skew_s):
    assert (await merchant.call("GET", "/v3/certificates", timestamp=str(int(time.time()) + skew_s))).status == 200


@pytest.mark.parametrize("skew_s", [-302, 302])
async def test_the_clock_is_checked_before_the_signature(merchant, skew_s):
    stamp = str(int(time.time()) + skew_s)
    for change in ({}, {"signature": "bm90IGEgc2lnbmF0dXJl"}):
        got = await merchant.call("GET", "/v3/certificates", timestamp=stamp, **change)
        assert (got.status, got.code) == (401, "SIGN_ERROR")
        assert got.json["message"] == "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟"
        assert not got.is_signed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signature": "AAAA"}, "签名错误"),
        ({"signature": "!!!!"}, "签名错误"),
        ({"timestamp": "1700000000000"}, "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟"),
        ({"timestamp": "now"}, "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟"),
        ({"mchid": "1900000110"}, "商户证书序列号有误。请使用签名私钥匹配的证书序列号"),
        ({"serial_no": "7" * 40}, "商户证书序列号有误。请使用签名私钥匹配的证书序列号"),
        ({"authorization": "WECHATPAY2-SHA256-RSA2048"}, None),
        ({"authorization": 'Bearer mchid="1900000109"'}, None),
        ({"drop": ("Authorization",)}, None),
    ],
)
async def test_a_stranger_is_refused_without_proof(merchant, change, message):
    for target, malformed in (
        ("/v3/certificates", "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》"),
        (f"/v3/pay/transactions/out-trade-no/{NUMBER}?mchid={MCHID}", "签名信息错误，验签失败"),
    ):
        got = await merchant.call("GET", target, **change)
        assert (got.status, got.code, got.json["message"]) == (401, "SIGN_ERROR", message or malformed)
        assert not got.is_signed


async def test_blanks_and_doubled_fields_in_authorization_are_malformed(merchant):
    good = merchant.authorization("GET", "/v3/certificates")
    for spoiled in (good.replace(",", ", "), good + ',mchid="1"', good.replace('"', ""), good.replace(" ", "  ")):
        assert (await merchant.call("GET", "/v3/certificates", authorization=spoiled)).status == 401


async def test_body_and_query_belong_to_the_signature(merchant):
    body = b'{"mchid":"1900000109"}'
    target = f"/v3/pay/transactions/out-trade-no/{NUMBER}/close"
    signed_without_space = merchant.authorization("POST", target, body)
    got = await merchant.call("POST", target, body.replace(b":", b": "), authorization=signed_without_space)
    assert got.status == 401
    target = f"/v3/pay/transactions/out-trade-no/{NUMBER}"
    got = await merchant.call("GET", f"{target}?mchid={MCHID}", authorization=merchant.authorization("GET", target))
    assert got.status == 401


async def test_the_raw_path_is_signed_as_it_is_sent(merchant):
    number = "A|B*C_D-01"
    assert (await merchant.place(out_trade_no=number)).status == 200
    assert (await merchant.query("A%7CB*C_D-01")).json["out_trade_no"] == number
    decoded = f"/v3/pay/transactions/out-trade-no/{number}?mchid={MCHID}"
    wire = decoded.replace("|", "%7C")
    assert (await merchant.call("GET", wire, authorization=merchant.authorization("GET", decoded))).status == 401


async def test_certificates_and_refunds_want_a_user_agent_before_anything_else(merchant):
    for method, target in (("GET", "/v3/certificates"), ("GET", "/v3/refund/domestic/refunds/R1")):
        got = await merchant.call(method, target, drop=("User-Agent", "Authorization"))
        assert (got.status, got.code, got.is_signed) == (400, "INVALID_REQUEST", False)
    assert (await merchant.call("POST", JSAPI, jsapi_order(), drop=("User-Agent",))).status == 200


async def test_unknown_paths_and_methods_are_answered_with_nothing(merchant):
    for method, target, status in (("GET", "/v3/pay/nothing", 404), ("GET", JSAPI, 405), ("PUT", JSAPI, 405)):
        got = await merchant.call(method, target)
        assert (got.status, got.body, got.is_signed) == (status, b"", False)


# -- what an order may say ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"amount": {"total": 0}},
        {"amount": {"total": 10.0}},
        {"amount": {"total": "1000"}},
        {"amount": {"total": True}},
        {"amount": {"total": 1000, "currency": "USD"}},
        {"amount": {}},
        {"out_trade_no": "12345"},
        {"out_trade_no": "含有汉字的号码"},
        {"out_trade_no": "A" * 33},
        {"payer": ...},
        {"payer": {}},
        {"payer": {"openid": ""}},
        {"attach": None},
        {"unknown_field": "1"},
        {"description": "字" * 128},
        {"notify_url": "http://pay.example.gov.cn/notices"},
        {"notify_url": NUMBER},
        {"notify_url": "https://pay.example.gov.cn/notices?a=1"},
        {"time_expire": "2030-01-01 00:00:00"},
        {"time_expire": "2030-01-01T00:00:00"},
        {"time_expire": "2020-01-01T00:00:00+08:00"},
        {"detail": {"goods_detail": []}},
        {"limit_pay": ["cash_only"]},
        {"mchid": "1900000110"},
    ],
)
async def test_a_wrong_order_is_refused_without_proof(merchant, change):
    got = await merchant.place(**change)
    assert (got.status, got.code, got.is_signed) == (400, "PARAM_ERROR", False)
    assert (await merchant.query(NUMBER)).code == "ORDER_NOT_EXIST"


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"a":1,"a":2}', b"\xff", b'{"amount":NaN}'])
async def test_a_body_that_is_no_json_object_is_refused(merchant, body):
    assert (await merchant.call("POST", JSAPI, body)).code == "PARAM_ERROR"


async def test_an_unbound_app_is_refused(merchant):
    assert (await merchant.place(appid="wx0000000000000000")).code == "APPID_MCHID_NOT_MATCH"


async def test_every_documented_optional_field_is_welcome(merchant):
    got = await merchant.place(
        time_expire="2035-01-01T00:00:00+08:00",
        attach="附加",
        goods_tag="T",
        support_fapiao=True,
        limit_pay=["no_credit"],
        settle_info={"profit_sharing": False},
        scene_info={"payer_client_ip": "2001:db8::1", "store_info": {"id": "1"}},
        detail={"goods_detail": [{"merchant_goods_id": "1", "quantity": 1, "unit_price": 1000}]},
        notify_url="http://127.0.0.1:8000/api/v1/callbacks/wechat-pay",
    )
    assert got.status == 200
    assert (await merchant.query(NUMBER)).json["attach"] == "附加"


async def test_h5_wants_a_scene_and_no_payer(merchant):
    got = await merchant.call("POST", H5, h5_order())
    assert got.status == 200 and got.json["h5_url"].startswith(merchant.partner.url)
    for change in (
        {"scene_info": ...},
        {"scene_info": {"payer_client_ip": "127.0.0.1", "h5_info": {"type": "Wap"}}},
        {"scene_info": {"payer_client_ip": "14.23.150.211", "h5_info": {"type": "wap"}}},
        {"payer": {"openid": "o1"}},
    ):
        assert (await merchant.call("POST", H5, h5_order("ANOTHER1", **change))).code == "PARAM_ERROR"


async def test_the_same_request_again_is_welcome_and_another_one_is_not(merchant):
    first, second = await merchant.place(), await merchant.place()
    assert first.json["prepay_id"] != second.json["prepay_id"]
    for change in ({"amount": {"total": 1001, "currency": "CNY"}}, {"amount": {"total": 1000}}, {"attach": "x"}):
        got = await merchant.place(**change)
        assert (got.status, got.code) == (403, "OUT_TRADE_NO_USED") and merchant.verifies(got.headers, got.body)
    seen = (await merchant.control("GET", f"/orders/{NUMBER}")).json
    assert (seen["times_created"], len(seen["nonces"]), len(seen["body_sha256"])) == (2, 2, 1)


# -- paying and asking -------------------------------------------------------------------------------------------------


async def test_an_unpaid_order_says_only_what_is_known(merchant):
    await merchant.place()
    assert (await merchant.query(NUMBER)).json == {
        "appid": APPID,
        "mchid": MCHID,
        "out_trade_no": NUMBER,
        "trade_state": "NOTPAY",
        "trade_state_desc": "订单未支付",
        "amount": {"total": 1000, "currency": "CNY"},
    }


async def test_a_paid_order_names_its_transaction(merchant):
    await merchant.place()
    paid = await merchant.control("POST", f"/orders/{NUMBER}/pay", {"notify": False, "coupon_fen": 100})
    assert paid.status == 200
    order = (await merchant.query(NUMBER)).json
    assert (order["trade_state"], order["trade_type"]) == ("SUCCESS", "JSAPI")
    assert order["payer"] == {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}
    assert order["amount"] == {"total": 1000, "payer_total": 900, "currency": "CNY", "payer_currency": "CNY"}
    assert order["success_time"].endswith("+08:00") and len(order["transaction_id"]) == 28
    by_id = await merchant.call("GET", f"/v3/pay/transactions/id/{order['transaction_id']}?mchid={MCHID}")
    assert by_id.json == order
    for refused in (await merchant.place(), await merchant.close(NUMBER)):
        assert refused.code == "ORDERPAID" and merchant.verifies(refused.headers, refused.body)
    assert (await merchant.control("POST", f"/orders/{NUMBER}/pay")).status == 409


async def test_a_failed_try_leaves_the_order_payable(merchant):
    await merchant.place()
    await merchant.control("POST", f"/orders/{NUMBER}/fail")
    assert (await merchant.query(NUMBER)).json["trade_state"] == "NOTPAY"
    assert (await merchant.control("POST", f"/orders/{NUMBER}/pay", {"notify": False})).status == 200


async def test_money_on_a_closed_order_needs_force(merchant):
    await merchant.place()
    await merchant.control("POST", f"/orders/{NUMBER}/close")
    assert (await merchant.control("POST", f"/orders/{NUMBER}/pay")).status == 409
    late = {"force": True, "notify": False, "amount_fen": 1, "payer": "oSomebodyElse"}
    assert (await merchant.control("POST", f"/orders/{NUMBER}/pay", late)).status == 200
    order = (await merchant.query(NUMBER)).json
    assert (order["trade_state"], order["amount"]["total"]) == ("SUCCESS", 1)
    assert order["payer"]["openid"] == "oSomebodyElse"


async def test_an_order_nobody_paid_is_closed_by_time(merchant):
    await merchant.place()
    await merchant.control("POST", "/clock", {"offset_s": 2 * 3600 + 5})
    refused = await merchant.control("POST", f"/orders/{NUMBER}/pay")
    assert refused.status == 409 and "会话已过期" in refused.json["error"]
    now = int(time.time()) + 7 * 86400 + 5
    await merchant.control("POST", "/clock", {"offset_s": now - int(time.time())})
    target = f"/v3/pay/transactions/out-trade-no/{NUMBER}?mchid={MCHID}"
    assert (await merchant.call("GET", target)).status == 401  # the partner's clock, not ours
    assert (await merchant.call("GET", target, timestamp=str(now))).json["trade_state"] == "CLOSED"


async def test_a_query_without_or_with_a_foreign_merchant_is_refused(merchant):
    await merchant.place()
    for query in ("", "?mchid=1900000110"):
        got = await merchant.call("GET", f"/v3/pay/transactions/out-trade-no/{NUMBER}{query}")
        assert (got.status, got.code) == (400, "PARAM_ERROR")
    unknown = await merchant.query("NOBODYKNOWSME")
    assert (unknown.status, unknown.code) == (404, "ORDER_NOT_EXIST") and merchant.verifies(
        unknown.headers, unknown.body
    )


async def test_a_paid_order_stays_paid_over_a_restart(tmp_path):
    async with bank(tmp_path) as partner:
        merchant = Merchant(partner)
        await merchant.place()
        await merchant.control("POST", f"/orders/{NUMBER}/pay", {"notify": False})
    async with bank(tmp_path) as partner:
        again = Merchant(partner)
        assert (again.serial, again.public_id) == (merchant.serial, merchant.public_id)
        assert (await again.query(NUMBER)).json["trade_state"] == "SUCCESS"
        await again.control("POST", "/reset")
        assert (await again.query(NUMBER)).code == "ORDER_NOT_EXIST"
