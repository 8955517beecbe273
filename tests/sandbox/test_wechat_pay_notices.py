"""Notices of the WeChat Pay partner: sealed, signed by either key, repeated until acknowledged, spoiled on demand."""

import asyncio
import base64
import json
import time

import pytest

from tests.sandbox.wechat_pay_caller import MCHID, Merchant, bank, listener

NUMBER = "ZSB00000000000000000000001"
PAY, NOTIFY = f"/orders/{NUMBER}/pay", "/notifications"


@pytest.fixture
async def merchant(tmp_path):
    async with bank(tmp_path) as partner:
        yield Merchant(partner)


async def until(condition, *, seconds: float = 5):
    """Poll, because a notice comes when the partner sends it."""
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("did not happen in time")


def headers_of(request: dict) -> dict:
    return {name.lower(): value for name, value in request["headers"].items()}


@pytest.mark.parametrize("mode", ["public_key", "certificate"])
async def test_a_payment_is_told_once_it_is_acknowledged(merchant, mode):
    await merchant.control("POST", "/config", {"notice_mode": mode})
    async with listener(204) as (url, came):
        await merchant.place(notify_url=url, attach="附加")
        paid = (await merchant.control("POST", PAY)).json
        await until(lambda: came)
        notice = came[0]
        assert merchant.verifies(notice.headers, notice.body)
        assert notice.headers["wechatpay-serial"].startswith("PUB_KEY_ID_") is (mode == "public_key")
        body = notice.json
        assert (body["id"], body["event_type"]) == (paid["event_id"], "TRANSACTION.SUCCESS")
        assert body["resource"]["original_type"] == "transaction" and len(body["resource"]["nonce"]) == 12
        assert b": " not in notice.body  # compact
        order = json.loads(merchant.open(body["resource"]))
        assert order == (await merchant.query(NUMBER)).json and order["attach"] == "附加"
        await merchant.control("POST", "/settle")
        assert len(came) == 1


async def test_a_refused_notice_comes_again_with_a_new_proof_and_the_same_id(merchant):
    await merchant.control("POST", "/config", {"time_scale": 0.001, "probe_first_notice": True})
    async with listener(401, 500, 200) as (url, came):
        await merchant.place(notify_url=url)
        await merchant.control("POST", PAY)
        await until(lambda: len(came) == 3)
        await merchant.control("POST", "/settle")
        assert len(came) == 3
        assert came[0].headers["wechatpay-signature"].startswith("WECHATPAY/SIGNTEST/")
        assert [merchant.verifies(one.headers, one.body) for one in came] == [False, True, True]
        assert len({one.json["id"] for one in came}) == 1
        assert len({one.headers["wechatpay-nonce"] for one in came}) == 3
        tries = (await merchant.control("GET", f"/orders/{NUMBER}")).json["notices"][0]["tries"]
        assert [one["status"] for one in tries] == [401, 500, 200]


async def test_the_ladder_has_fifteen_repeats_and_then_ends(merchant):
    await merchant.control("POST", "/config", {"time_scale": 0})
    async with listener(503) as (url, came):
        await merchant.place(notify_url=url)
        await merchant.control("POST", PAY)
        await until(lambda: len(came) == 16)
        await asyncio.sleep(0.1)
        assert len(came) == 16
        assert (await merchant.control("GET", "/callbacks")).json["callbacks"][0]["state"] == "given_up"


async def test_a_repeat_survives_a_restart(tmp_path):
    async with listener(500, 204) as (url, came):
        async with bank(tmp_path) as partner:
            merchant = Merchant(partner)
            await merchant.control("POST", "/config", {"time_scale": 0.02})
            await merchant.place(notify_url=url)
            await merchant.control("POST", PAY)
            await until(lambda: came)
            await asyncio.sleep(0.05)
        async with bank(tmp_path) as partner:
            await until(lambda: len(came) == 2)
            assert came[0].json["id"] == came[1].json["id"]
            assert Merchant(partner).verifies(came[1].headers, came[1].body)


async def test_nothing_is_told_when_nobody_wants_it(merchant):
    async with listener(204) as (url, came):
        await merchant.place(notify_url=url)
        await merchant.control("POST", PAY, {"notify": False})
        await merchant.control("POST", "/settle")
        assert not came


# -- played notices ----------------------------------------------------------------------------------------------------


async def play(merchant, **wish):
    got = await merchant.control("POST", NOTIFY, {"about": {"out_trade_no": NUMBER}, "deliver": False, **wish})
    assert got.status == 200, got.body
    request = got.json["request"]
    return headers_of(request), base64.b64decode(request["body_base64"])


@pytest.fixture
async def paid(merchant):
    await merchant.place()
    await merchant.control("POST", PAY, {"notify": False})
    return merchant


@pytest.mark.parametrize("mode", ["public_key", "certificate"])
async def test_a_played_notice_is_good_in_both_modes(paid, mode):
    headers, body = await play(paid, mode=mode, event_id="EV-1")
    assert paid.verifies(headers, body) and json.loads(body)["id"] == "EV-1"
    assert json.loads(paid.open(json.loads(body)["resource"]))["trade_state"] == "SUCCESS"


@pytest.mark.parametrize(
    "tamper", ["body_byte", "body_space", "reserialise", "signature_byte", "signtest", "other_key", "swapped_nonce"]
)
@pytest.mark.parametrize("mode", ["public_key", "certificate"])
async def test_a_spoiled_notice_has_everything_but_a_good_proof(paid, tamper, mode):
    headers, body = await play(paid, mode=mode, tamper=tamper)
    json.loads(body)
    assert abs(int(headers["wechatpay-timestamp"]) - time.time()) < 5
    assert not paid.verifies(headers, body)


async def test_an_unknown_serial_hides_a_good_signature(paid):
    for mode, stem in (("public_key", "wx_pub"), ("certificate", "wx_plat")):
        headers, body = await play(paid, mode=mode, tamper="unknown_serial")
        assert headers["wechatpay-serial"] != (await play(paid, mode=mode))[0]["wechatpay-serial"]
        assert paid.verifies(headers, body, key_name=stem)


async def test_headers_can_be_left_out_or_lie(paid):
    headers, body = await play(paid, tamper="drop_header:Wechatpay-Nonce")
    assert "wechatpay-nonce" not in headers and "wechatpay-signature" in headers
    headers, _ = await play(paid, tamper="other_signature_type")
    assert headers["wechatpay-signature-type"] != "WECHATPAY2-SHA256-RSA2048"
    headers, body = await play(paid, tamper="xml_v2")
    assert body.startswith(b"<xml>") and "wechatpay-signature" not in headers


async def test_a_notice_can_be_old_or_unopenable(paid):
    headers, body = await play(paid, skew_s=-301)
    assert -303 <= int(headers["wechatpay-timestamp"]) - time.time() <= -300 and paid.verifies(headers, body)
    headers, body = await play(paid, tamper="wrong_apiv3_key")
    assert paid.verifies(headers, body)
    with pytest.raises(Exception):  # noqa: B017 (InvalidTag is the library's word, not ours)
        paid.open(json.loads(body)["resource"])


async def test_overrides_are_signed_and_sealed_like_the_truth(paid):
    changes = {"amount.total": 1, "mchid": "1900000110", "payer": None}
    headers, body = await play(paid, override=changes, original_type="profitsharing")
    told = json.loads(paid.open(json.loads(body)["resource"]))
    assert paid.verifies(headers, body)
    assert (told["amount"]["total"], told["mchid"], "payer" in told) == (1, "1900000110", False)
    assert json.loads(body)["resource"]["original_type"] == "profitsharing"


@pytest.mark.parametrize("parallel", [False, True])
async def test_copies_share_the_id_and_not_the_signature(paid, parallel):
    async with listener(204) as (url, came):
        wish = {"about": {"out_trade_no": NUMBER}, "copies": 5, "parallel": parallel, "url": url}
        answers = (await paid.control("POST", NOTIFY, wish)).json["answers"]
        assert [one["status"] for one in answers] == [204] * 5
        assert len(came) == 5 and len({one.json["id"] for one in came}) == 1
        assert all(paid.verifies(one.headers, one.body) for one in came)


@pytest.mark.parametrize(
    "wish",
    [
        {"tamper": "mac_wrong"},
        {"mode": "cert"},
        {"copies": 0},
        {"skew_s": "1"},
        {"about": {"out_trade_no": "UNKNOWN1"}},
        {"about": {}},
        {"override": []},
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(paid, wish):
    got = await paid.control("POST", NOTIFY, {"about": {"out_trade_no": NUMBER}, **wish})
    assert got.status in (400, 404) and got.json["error"]


# -- faults ------------------------------------------------------------------------------------------------------------


async def order_fault(merchant, effect, call="jsapi", **more):
    got = await merchant.control("POST", "/faults", {"match": {"call": call}, "effect": effect, **more})
    assert got.status == 200, got.body


@pytest.mark.parametrize("how", ["other_key", "signtest", "none", "stale"])
async def test_an_order_may_happen_with_a_bad_proof(merchant, how):
    await order_fault(merchant, {"signature": how})
    got = await merchant.place()
    assert got.status == 200
    if how == "none":
        assert not got.is_signed
    elif how == "stale":
        assert merchant.verifies(got.headers, got.body)
        assert time.time() - int(got.headers["wechatpay-timestamp"]) > 600
    else:
        assert not merchant.verifies(got.headers, got.body)
    assert (await merchant.query(NUMBER)).json["trade_state"] == "NOTPAY"


@pytest.mark.parametrize(("when", "state"), [("before", "ORDER_NOT_EXIST"), ("after", "NOTPAY")])
async def test_the_line_may_break_before_or_after_the_commit(merchant, when, state):
    await order_fault(merchant, {"drop": when})
    with pytest.raises(Exception):  # noqa: B017 (each HTTP client has its own word for it)
        await merchant.place()
    found = (await merchant.query(NUMBER)).json
    assert found.get("trade_state", found.get("code")) == state


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(
    ("status", "code"), [(500, "SYSTEM_ERROR"), (429, "FREQUENCY_LIMITED"), (404, "RESOURCE_NOT_EXISTS")]
)
async def test_a_call_may_fail_with_or_without_proof(merchant, status, code, signed):
    await order_fault(merchant, {"status": status, "signed": signed})
    got = await merchant.place()
    assert (got.status, got.code, got.is_signed) == (status, code, signed)
    assert not signed or merchant.verifies(got.headers, got.body)
    assert (await merchant.query(NUMBER)).code == "ORDER_NOT_EXIST"


async def test_accepted_but_not_processed_and_done_but_denied(merchant):
    await order_fault(merchant, {"status": 202})
    got = await merchant.place()
    assert got.status == 202 and merchant.verifies(got.headers, got.body)
    assert (await merchant.query(NUMBER)).code == "ORDER_NOT_EXIST"
    await order_fault(merchant, {"status_after": 500})
    assert (await merchant.place()).status == 500
    assert (await merchant.query(NUMBER)).json["trade_state"] == "NOTPAY"


@pytest.mark.parametrize("body", ["garbage", "truncated", "duplicate_key", "reordered"])
async def test_a_hostile_body_may_even_be_signed(merchant, body):
    await merchant.place()
    await order_fault(merchant, {"body": body, "signed": True}, call="query")
    got = await merchant.query(NUMBER)
    assert got.status == 200 and merchant.verifies(got.headers, got.body)
    if body in ("garbage", "truncated"):
        with pytest.raises(ValueError):
            json.loads(got.body)


async def test_an_answer_may_wait_for_the_notice(merchant):
    await order_fault(merchant, {"hold": "until_notice"})
    async with listener(204) as (url, came):
        waiting = asyncio.create_task(merchant.place(notify_url=url))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await merchant.control("POST", PAY)
        assert (await waiting).status == 200 and came


# -- keys --------------------------------------------------------------------------------------------------------------


async def test_answers_follow_the_key_that_the_request_names(merchant):
    merchant.mode = "certificate"
    got = await merchant.place()
    plat = (merchant.folder / "wx_plat.serial").read_text()
    assert got.headers["wechatpay-serial"] == plat and merchant.verifies(got.headers, got.body)
    for named in (plat.lower(), merchant.public_id):
        got = await merchant.call("GET", "/v3/certificates", headers={"Wechatpay-Serial": named})
        assert got.status == 200 and got.headers["wechatpay-serial"].upper() == named.upper()
    got = await merchant.call("GET", "/v3/certificates", headers={"Wechatpay-Serial": "PUB_KEY_ID_0"})
    assert (got.status, got.code, got.is_signed) == (400, "PARAM_ERROR", False)


async def test_certificates_are_sealed_and_two_are_live_during_rotation(merchant):
    merchant.mode = "certificate"
    before = (await merchant.call("GET", "/v3/certificates")).json["data"]
    assert len(before) == 1 and before[0]["effective_time"].endswith("+08:00")
    wish = {"what": "platform_certificate", "keep_old": True, "leading_zero": True}
    serial = (await merchant.control("POST", "/keys/rotate", wish)).json["serial"]
    assert serial.startswith("0") and len(serial) == 40
    got = await merchant.call("GET", "/v3/certificates")
    assert [one["serial_no"] for one in got.json["data"]] == [serial, before[0]["serial_no"]]
    assert got.headers["wechatpay-serial"] == serial and merchant.verifies(got.headers, got.body)
    pem = merchant.open(got.json["data"][0]["encrypt_certificate"])
    assert pem == (merchant.folder / "wx_plat.crt").read_bytes()
    await merchant.control("POST", "/keys/rotate", {"what": "platform_certificate", "keep_old": False})
    assert len((await merchant.call("GET", "/v3/certificates")).json["data"]) == 1


async def test_a_new_public_key_leaves_the_old_one_usable(merchant):
    rotated = (await merchant.control("POST", "/keys/rotate", {"what": "public_key"})).json
    assert rotated["serial"] != merchant.public_id
    assert rotated["environment"]["WECHATPAY_PUBLIC_KEY_ID"] == rotated["serial"]
    got = await merchant.place()
    assert got.status == 200 and merchant.verifies(got.headers, got.body, key_name="wx_pub_old")
    merchant.public_id = rotated["serial"]
    got = await merchant.place()
    assert got.status == 200 and merchant.verifies(got.headers, got.body)


async def test_a_merchant_without_certificates_is_told_so(merchant):
    await merchant.control("POST", "/config", {"key_mode": "public_key"})
    got = await merchant.call("GET", "/v3/certificates")
    assert (got.status, got.code) == (404, "RESOURCE_NOT_EXISTS")


async def test_the_request_log_shows_what_came_and_what_was_thought_of_it(merchant):
    await merchant.place()
    await merchant.call("GET", f"/v3/pay/transactions/out-trade-no/{NUMBER}?mchid={MCHID}", signature="AAAA")
    lines = (await merchant.control("GET", "/requests")).json["requests"]
    assert [(line["call"], line["verdict"]) for line in lines] == [("jsapi", "ok"), ("query", "签名错误")]
    assert lines[0]["number"] == NUMBER and lines[0]["nonce"]


def test_the_settings_for_the_product_are_complete(merchant):
    assert set(merchant.partner.environment()) == {
        "WECHATPAY_BASE_URL",
        "WECHATPAY_MCHID",
        "WECHATPAY_APPID",
        "WECHATPAY_MERCHANT_SERIAL",
        "WECHATPAY_MERCHANT_KEY_FILE",
        "WECHATPAY_APIV3_KEY_FILE",
        "WECHATPAY_PUBLIC_KEY_ID",
        "WECHATPAY_PUBLIC_KEY_FILE",
        "WECHATPAY_NOTIFY_URL",
    }
