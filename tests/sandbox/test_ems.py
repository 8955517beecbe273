"""The EMS partner over real HTTP: the envelope and who may call, the calls, the pushes, the faults."""

import asyncio
import base64
import json
import subprocess

import aiohttp
import pytest

from sandbox.ems import build
from sandbox.serving import serving
from tests.sandbox.ems_caller import PARTY, Customer, encrypt, listener, order

NUMBER = "D0000000000000000000000001"


@pytest.fixture
async def customer(tmp_path):
    async with serving(build, tmp_path, product_url="http://127.0.0.1:9") as partner:
        yield Customer(partner)


async def until(condition, *, seconds: float = 5):
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("did not happen in time")


# -- the envelope ------------------------------------------------------------------------------------------------------


async def test_an_order_gets_a_waybill_and_the_answer_is_json_inside_json(customer):
    answer = await customer.call("020003", [order()])
    assert answer["retCode"] == "00000" and isinstance(answer["retBody"], str)
    found = json.loads(answer["retBody"])
    assert len(found["waybillNo"]) == 13 and found["logisticsOrderNo"] == NUMBER


async def test_openssl_writes_an_envelope_that_is_accepted(customer):
    """A second opinion that shares no code: the openssl command line knows SM4 too."""
    key = base64.b64decode(customer.key).hex()
    plain = (json.dumps([order()], ensure_ascii=False) + customer.key).encode()
    run = ["openssl", "enc", "-sm4-ecb", "-K", key, "-nosalt"]
    sealed = subprocess.run(run, input=plain, capture_output=True, check=True).stdout
    answer = await customer.call("020003", None, envelope="|$4|" + base64.b64encode(sealed).decode())
    assert answer["retCode"] == "00000"


def test_the_standard_check_of_the_cipher():
    """GB/T 32907: key = plaintext block."""
    key = base64.b64encode(bytes.fromhex("0123456789abcdeffedcba9876543210")).decode()
    block = bytes.fromhex("0123456789abcdeffedcba9876543210")
    run = ["openssl", "enc", "-sm4-ecb", "-K", block.hex(), "-nosalt", "-nopad"]
    wanted = "681edf34d206965e86b3e94f536e4246"
    assert subprocess.run(run, input=block, capture_output=True, check=True).stdout.hex() == wanted
    assert len(base64.b64decode(encrypt("x" * 16, key).removeprefix("|$4|"))) == 32


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda c: {"drop": ("authorization",)}, "10001"),
        (lambda c: {"headers": {"Content-Type": "application/json"}}, "10002"),
        (lambda c: {"form": "apiCode"}, "10002"),
        (lambda c: {"form": "apiCode=1&apiCode=2"}, "10002"),
        (lambda c: {"senderNo": "1"}, "10003"),
        (lambda c: {"authorization": "wrong"}, "10003"),
        (lambda c: {"timeStamp": "2026-01-01 00:00:00"}, "10004"),
        (lambda c: {"timeStamp": "2026-01-01T00:00:00"}, "10004"),
        (lambda c: {"envelope": encrypt("[]" + c.key, c.key).replace("|$4|", "|$1|")}, "10006"),
        (lambda c: {"envelope": "|$4|not base64!"}, "10006"),
        (lambda c: {"envelope": "|$4|AAAA"}, "10006"),
        (lambda c: {"envelope": encrypt("[]" + c.key, base64.b64encode(b"k" * 16).decode())}, "10006"),
        (lambda c: {"envelope": encrypt("[]", c.key)}, "10006"),
        (lambda c: {"envelope": encrypt("{" + c.key, c.key)}, "10008"),
        (lambda c: {"apiCode": "999999"}, "10009"),
        (lambda c: {"version": "V2.0.0"}, "10010"),
        (lambda c: {"msgType": "1"}, "10010"),
    ],
)
async def test_a_wrong_request_is_refused(customer, spoil, code):
    answer = await customer.call("020003", [order()], **spoil(customer))
    assert answer["retCode"] == code and answer["retMsg"] and answer["retBody"] is None
    assert not (await customer.control("GET", "/parcels"))[1]["parcels"]


async def test_an_unencoded_plus_sign_breaks_the_form(customer):
    for attempt in range(40):
        text = json.dumps([order(f"D{attempt}")], ensure_ascii=False) + customer.key
        envelope = encrypt(text, customer.key)
        if "+" in envelope:
            break
    form = (
        f"apiCode=020003&senderNo={customer.sender_no}&authorization={customer.authorization}&msgType=0"
        f"&timeStamp={order()['createdTime'].replace(' ', '%20')}&version=V1.0.0&logitcsInterface={envelope}"
    )
    assert (await customer.call("020003", None, form=form))["retCode"] == "10006"


# -- ordering and cancelling -------------------------------------------------------------------------------------------


async def test_the_same_order_again_is_the_same_waybill_or_an_error(customer):
    waybill_no = await customer.book()
    assert await customer.book(ecommerceUserId="U2") == waybill_no
    moved = await customer.call("020003", [order(receiver=PARTY | {"address": "别处"})])
    assert moved["retCode"] == "20002"
    await customer.control("POST", "/config", {"duplicate_order": "error"})
    assert (await customer.call("020003", [order()]))["retCode"] == "20002"
    assert len((await customer.control("GET", "/parcels"))[1]["parcels"]) == 1


@pytest.mark.parametrize(
    "content",
    [
        order(),
        [],
        [order(), order("D2")],
        [order(logisticsOrderNo="")],
        [order(createdTime="2026/01/01")],
        [order(contentsAttribute="2")],
        [order(receiver=PARTY | {"county": ""})],
        [order(receiver=PARTY | {"mobile": "123"})],
        [order(sender=None)],
        [order(cargos=[])],
        [order(cargos=[{"cargoName": "证照", "cargoWeight": 0}])],
    ],
)
async def test_an_incomplete_order_is_refused(customer, content):
    assert (await customer.call("020003", content))["retCode"] == "20001"


async def test_cancelling_works_until_the_pick_up(customer):
    waybill_no = await customer.book()
    wish = {"logisticsOrderNo": NUMBER, "waybillNo": waybill_no, "cancelReason": "申请人撤回"}
    assert (await customer.call("020006", wish | {"waybillNo": "1"}))["retCode"] == "20003"
    for _ in range(2):
        assert (await customer.call("020006", wish))["retCode"] == "00000"
    second = await customer.book("D2")
    await customer.event(second, "pickup", callback=False)
    late = await customer.call("020006", wish | {"logisticsOrderNo": "D2", "waybillNo": second})
    assert (late["retCode"], late["retMsg"]) == ("20004", "邮件已揽收，不能取消")


# -- range, quotes, labels ---------------------------------------------------------------------------------------------


async def test_range_is_answered_by_place(customer):
    where = {**PARTY, "bizProductNo": "1", "type": "2", "senderNo": customer.sender_no}
    assert (await customer.body("030005", where))["status"] == "0"
    assert (await customer.body("030005", where | {"county": "肃北蒙古族自治县"}))["status"] == "1"
    assert (await customer.body("030005", where | {"address": "超范围路1号"}))["status"] == "1"
    assert (await customer.call("030005", where | {"type": "4"}))["retCode"] == "20001"


@pytest.mark.parametrize(
    ("receiver", "weight", "fee"),
    [
        ("甘肃省酒泉市肃州区", "100", "8.00"),
        ("甘肃省兰州市城关区", "100", "12.00"),
        ("广东省深圳市南山区", "100", "20.00"),
        ("广东省深圳市南山区", "501", "26.00"),
        ("新疆维吾尔自治区哈密市伊州区", "500", "26.00"),
    ],
)
async def test_quotes_grow_with_distance_and_weight(customer, receiver, weight, fee):
    wish = {
        "productCode": "112104302300001",
        "weight": weight,
        "senderInfo": "甘肃省酒泉市玉门市新市区",
        "receiveInfo": receiver,
    }
    assert (await customer.body("050005", wish))["totalFee"] == fee
    assert (await customer.call("050005", wish | {"receiveInfo": "某地"}))["retCode"] == "20005"
    assert (await customer.call("050005", wish | {"weight": "0"}))["retCode"] == "20001"


async def test_a_label_is_a_plain_address_or_base64(customer):
    waybill_no = await customer.book()
    by_url = await customer.call("010004", {"waybillNo": waybill_no, "type": "129", "getURL": "1"})
    async with aiohttp.ClientSession() as session, session.get(by_url["retBody"]) as got:
        assert (await got.read()).startswith(b"%PDF-")
    inline = await customer.call("010004", {"waybillNo": waybill_no, "type": "129"})
    assert base64.b64decode(inline["retBody"]).startswith(b"%PDF-")
    assert (await customer.call("010004", {"waybillNo": "1", "type": "129"}))["retCode"] == "20003"


async def test_an_address_is_taken_apart(customer):
    found = await customer.body("060001", [{"wholeAddress": "甘肃省酒泉市玉门市新市区街道1号"}])
    assert (found[0]["prov"], found[0]["city"], found[0]["county"]) == ("甘肃省", "酒泉市", "玉门市")


# -- tracking ----------------------------------------------------------------------------------------------------------


async def test_a_track_grows_and_unknown_is_an_empty_success(customer):
    waybill_no = await customer.book()
    for unknown in (waybill_no, "9999999999999"):
        answer = await customer.call("040001", {"waybillNo": unknown, "direction": "0"})
        assert (answer["retCode"], answer["retBody"], answer["retMsg"]) == ("00000", None, "未查询到邮件信息")
    for name in ("pickup", "out", "sign"):
        await customer.event(waybill_no, name, callback=False)
    items = (await customer.body("040001", {"waybillNo": waybill_no, "direction": "0"}))["responseItems"]
    assert [one["opCode"] for one in items] == ["203", "702", "748"]
    assert (await customer.control("POST", f"/parcels/{waybill_no}/event", {"name": "out"}))[0] == 409
    assert (await customer.call("040001", {"waybillNo": waybill_no, "direction": "1"}))["retCode"] == "20001"
    postage = await customer.body("050001", {"logisticsOrderNo": NUMBER, "waybillNo": waybill_no})
    assert postage == {"postageTotal": "8.00", "realWeight": "100"}


async def test_event_time_decides_and_not_arrival(customer):
    waybill_no = await customer.book()
    await customer.event(waybill_no, "out", at="2026-03-02 10:00:00", callback=False)
    late = await customer.event(waybill_no, "pickup", at="2026-03-01T10:00:00+08:00", callback=False)
    assert late["parcel"]["state"] == "OUT"
    hidden = await customer.event(waybill_no, "sign", track=False, callback=False)
    assert hidden["parcel"]["state"] == "OUT"


# -- pushes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "form"])
@pytest.mark.parametrize("suffix", [True, False])
async def test_events_are_pushed_sealed(customer, form, suffix):
    async with listener(customer.key) as (url, came):
        await customer.control("POST", "/config", {"notify_url": url, "callback_format": form})
        waybill_no = await customer.book()
        await customer.event(waybill_no, "pickup", suffix=suffix)
        await until(lambda: came)
        push = came[0]
        assert push["suffixed"] is suffix
        assert (push["outer"]["method"], push["outer"]["senderNo"]) == ("040002", customer.sender_no)
        assert (push["event"]["waybillNo"], push["event"]["opCode"]) == (waybill_no, "203")


async def test_a_push_comes_again_until_it_is_acknowledged(customer):
    async with listener(customer.key, "99999", "00001", "00000") as (url, came):
        await customer.control("POST", "/config", {"notify_url": url, "time_scale": 0.001})
        waybill_no = await customer.book()
        await customer.event(waybill_no, "out")
        await until(lambda: len(came) == 3)
        await customer.control("POST", "/settle")
        assert len(came) == 3 and len({push["outer"]["serialNo"] for push in came}) == 1
        pushes = (await customer.control("GET", f"/parcels/{waybill_no}"))[1]["pushes"]
        assert [one["acknowledged"] for one in pushes[0]["tries"]] == [False, False, True]


async def test_copies_unknown_codes_and_routes_out_of_order(customer):
    async with listener(customer.key) as (url, came):
        await customer.control("POST", "/config", {"notify_url": url})
        first = await customer.book()
        await customer.event(first, "X_999", copies=3)
        await until(lambda: len(came) == 3)
        assert {push["event"]["opCode"] for push in came} == {"X_999"}
        came.clear()
        second = await customer.book("D2")
        wish = {"ends": "delivered", "arrival": "reversed", "pause_ms": 30}
        status, answer = await customer.control("POST", f"/parcels/{second}/route", wish)
        assert status == 200 and answer["parcel"]["state"] == "SIGNED"
        await until(lambda: len(came) == 5)
        assert [push["event"]["opCode"] for push in came] == ["748", "702", "405", "305", "203"]


@pytest.mark.parametrize(
    ("ends", "state"), [("refused", "RETURNED"), ("returned", "RETURNED"), ("lost", "LOST"), ("second_try", "SIGNED")]
)
async def test_every_route_ends_where_it_says(customer, ends, state):
    waybill_no = await customer.book()
    wish = {"ends": ends, "callback": False}
    answer = (await customer.control("POST", f"/parcels/{waybill_no}/route", wish))[1]
    assert answer["parcel"]["state"] == state


async def test_a_forged_push_is_sent_once(customer):
    async with listener(customer.key, "99999") as (url, came):
        await customer.control("POST", "/config", {"notify_url": url})
        wish = {"event": {"waybillNo": "1", "opCode": "748"}, "senderNo": "1"}
        status, answer = await customer.control("POST", "/callbacks/forge", wish)
        assert status == 200 and answer["answer"]["status"] == 200
        assert len(came) == 1 and came[0]["outer"]["senderNo"] == "1"


async def test_events_that_make_no_sense_are_refused(customer):
    waybill_no = await customer.book()
    for wish in ({"name": "飞走"}, {"name": "pickup", "at": "昨天"}, {"name": "out", "copies": 0}, {"nam": "out"}):
        assert (await customer.control("POST", f"/parcels/{waybill_no}/event", wish))[0] == 400
    assert (await customer.control("POST", "/parcels/0/event", {"name": "out"}))[0] == 404


# -- faults and restart ------------------------------------------------------------------------------------------------


async def test_faults_of_the_platform(customer):
    async def fault(effect):
        await customer.control("POST", "/faults", {"match": {"call": "020003"}, "effect": effect})

    await fault({"status": 500})
    assert (await customer.raw("020003", [order()]))[0] == 500
    await fault({"status": 502, "body": "html"})
    assert "<html>" in (await customer.raw("020003", [order()]))[1]
    await fault({"code": "20099"})
    assert (await customer.call("020003", [order()]))["retCode"] == "20099"
    assert not (await customer.control("GET", "/parcels"))[1]["parcels"]
    await fault({"drop": "after"})
    with pytest.raises(aiohttp.ClientError):
        await customer.raw("020003", [order()])
    assert len((await customer.control("GET", "/parcels"))[1]["parcels"]) == 1
    await fault({"ret_body": "null"})
    assert (await customer.call("020003", [order()]))["retBody"] is None
    await fault({"ret_body": "object"})
    assert "waybillNo" in (await customer.call("020003", [order()]))["retBody"]


async def test_a_parcel_and_its_push_survive_a_restart(tmp_path):
    async with serving(build, tmp_path, product_url="http://127.0.0.1:9") as partner:
        customer = Customer(partner)
        waybill_no = await customer.book()
        await customer.control("POST", "/config", {"time_scale": 0.02})
        await customer.event(waybill_no, "pickup")
        await asyncio.sleep(0.1)
    async with listener(customer.key) as (url, came), serving(build, tmp_path) as partner:
        again = Customer(partner)
        await again.control("POST", "/config", {"notify_url": url})
        assert await again.book() == waybill_no
        await until(lambda: came)
        assert came[0]["event"]["opCode"] == "203"


def test_the_settings_for_the_product_are_complete(customer):
    environment = customer.partner.environment()
    contract = {"EMS_BASE_URL", "EMS_SENDER_NO", "EMS_AUTHORIZATION", "EMS_SIGN_KEY"}
    annex = {"EMS_OPCODES", "EMS_REFUSED_CODES", "EMS_DUPLICATE_CODES"}
    assert set(environment) == contract | annex
    assert "702=OUT_FOR_DELIVERY" in environment["EMS_OPCODES"].split(",")
    assert len(base64.b64decode(environment["EMS_SIGN_KEY"])) == 16
