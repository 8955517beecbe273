"""What the Alipay partner does when it is told to misbehave: proofs, shapes, errors and silence."""

import asyncio
import json
import time

import aiohttp
import pytest
from cryptography.hazmat.primitives import hashes

from tests.sandbox.alipay_caller import NUMBER, Merchant, bank, listener, members, order

QUERY, CREATE, REFUND = "alipay.trade.query", "alipay.trade.create", "alipay.trade.refund"


@pytest.fixture
async def merchant(tmp_path):
    async with bank(tmp_path) as partner:
        merchant = Merchant(partner)
        await merchant.create()
        yield merchant


@pytest.mark.parametrize("kind", ["reordered", "braces", "escaped", "spaced", "sign_first"])
@pytest.mark.parametrize("certificates", [False, True])
async def test_strange_but_honest_shapes_verify_for_a_scanner(merchant, kind, certificates):
    secured = Merchant(merchant.partner, certificates=certificates)
    await merchant.fault(QUERY, {"body": kind})
    got = await secured.query()
    assert secured.verifies(got)
    assert got.node["trade_status"] == "WAIT_BUYER_PAY"
    assert ("alipay_cert_sn" in got.json) is certificates


async def test_the_strange_shapes_are_what_they_are_called(merchant):
    async def shaped(kind):
        await merchant.fault(QUERY, {"body": kind})
        return (await merchant.query()).body.decode()

    assert next(iter(members((await shaped("sign_first")).encode()))) == "sign"
    braces = await shaped("braces")
    assert braces.index('},"sign":"AAAA"') < braces.rindex('},"sign":"')
    assert "{{{" in braces
    assert "https:\\/\\/" in await shaped("escaped")
    assert "\n" in await shaped("spaced")
    first = next(iter(json.loads(await shaped("reordered"))["alipay_trade_query_response"]))
    assert first not in ("code", "msg")


@pytest.mark.parametrize("kind", ["duplicate_key", "two_nodes", "other_node", "trailing", "garbage", "truncated", "empty", "html"])  # fmt: skip
async def test_shapes_that_must_be_refused(merchant, kind):
    await merchant.fault(QUERY, {"body": kind})
    got = await merchant.query()
    try:
        nodes = [name for name in members(got.body) if name.endswith("_response")]
    except (ValueError, AssertionError, IndexError):
        return
    assert nodes != ["alipay_trade_query_response"]


@pytest.mark.parametrize("how", ["other_key", "none", "sha1", "byte"])
async def test_good_content_with_a_bad_proof(merchant, how):
    await merchant.fault(QUERY, {"signature": how})
    got = await merchant.query()
    assert got.node["trade_status"] == "WAIT_BUYER_PAY"
    assert not merchant.verifies(got)
    if how == "sha1":
        text = members(got.body)["alipay_trade_query_response"]
        assert merchant.is_proof(got.json["sign"], text, algorithm=hashes.SHA1())
    if how == "none":
        assert list(got.json) == ["alipay_trade_query_response"]


async def test_a_certificate_nobody_knows(merchant):
    secured = Merchant(merchant.partner, certificates=True)
    await merchant.fault(QUERY, {"signature": "unknown_cert"})
    assert (await secured.query()).json["alipay_cert_sn"] == "0" * 32


@pytest.mark.parametrize(
    ("effect", "code", "sub_code", "signed"),
    [
        ({"code": "20000"}, "20000", "isp.unknow-error", False),
        ({"code": "20000", "sub_code": "aop.unknow-error"}, "20000", "aop.unknow-error", False),
        ({"code": "20000", "signed": True}, "20000", "isp.unknow-error", True),
        ({"code": "ACQ.SYSTEM_ERROR"}, "40004", "ACQ.SYSTEM_ERROR", True),
        ({"code": "40004", "sub_code": "AQC.SYSTEM_ERROR", "signed": False}, "40004", "AQC.SYSTEM_ERROR", False),
        ({"code": "40005"}, "40005", "isv.app-call-limited", False),
        ({"code": "40006"}, "40006", "isv.insufficient-isv-permissions", False),
        ({"code": "ACQ.TRADE_NOT_EXIST", "body": "braces"}, "40004", "ACQ.TRADE_NOT_EXIST", True),
    ],
)
async def test_an_ordered_error_does_nothing(merchant, effect, code, sub_code, signed):
    number = "ZSB2"
    await merchant.fault(CREATE, effect)
    got = await merchant.create(out_trade_no=number)
    assert (got.status, got.node["code"], got.sub_code, got.is_signed) == (200, code, sub_code, signed)
    assert not signed or merchant.verifies(got)
    assert (await merchant.query(number)).sub_code == "ACQ.TRADE_NOT_EXIST"


@pytest.mark.parametrize(("effect", "status", "code"), [({"code_after": "20000"}, 200, "20000"), ({"status_after": 502}, 502, None), ({"code_after": "ACQ.SYSTEM_ERROR"}, 200, "40004")])  # fmt: skip
async def test_done_but_said_to_have_failed(merchant, effect, status, code):
    await merchant.pay(notify=False)
    await merchant.fault(REFUND, effect)
    got = await merchant.refund("4.00", "R1")
    assert got.status == status
    assert code is None or got.node["code"] == code
    assert (await merchant.refund_query("R1")).node["refund_status"] == "REFUND_SUCCESS"
    replay = (await merchant.refund("4.00", "R1")).node
    assert (replay["fund_change"], replay["refund_fee"]) == ("N", "4.00")


@pytest.mark.parametrize(("when", "exists"), [("before", False), ("after", True)])
async def test_the_line_breaks_before_or_after_the_trade_was_made(merchant, when, exists):
    await merchant.fault(CREATE, {"drop": when})
    with pytest.raises(aiohttp.ClientError):
        await merchant.create(out_trade_no="ZSB2")
    assert ((await merchant.query("ZSB2")).node["code"] == "10000") is exists


async def test_delays_statuses_and_a_limit(merchant):
    await merchant.fault(QUERY, {"delay_ms": 150})
    began = time.monotonic()
    await merchant.query()
    assert time.monotonic() - began > 0.15
    await merchant.fault(QUERY, {"status": 503})
    assert (await merchant.query()).status == 503
    await merchant.control("POST", "/faults", {"match": {"call": QUERY}, "effect": {"rate_per_s": 2}})
    got = [await merchant.query() for _ in range(3)]
    assert [one.sub_code for one in got] == [None, None, "isv.app-call-limited"]
    assert (got[2].status, got[2].is_signed) == (200, False)


async def test_an_answer_about_somebody_else(merchant):
    await merchant.fault(QUERY, {"override": {"out_trade_no": "OTHER"}})
    got = await merchant.query()
    assert (got.node["out_trade_no"], merchant.verifies(got)) == ("OTHER", True)


async def test_a_fault_may_wait_for_one_number(merchant):
    await merchant.control("POST", "/faults", {"match": {"call": "*", "number": "R1"}, "effect": {"code": "20000"}})
    await merchant.pay(notify=False)
    assert (await merchant.query()).node["code"] == "10000"
    assert (await merchant.refund("4.00", "R1")).node["code"] == "20000"


async def test_errors_are_signed_as_configured(merchant):
    await merchant.config(sign_errors="none", error_node="method")
    unknown = await merchant.query("unknown")
    assert (unknown.sub_code, unknown.is_signed) == ("ACQ.TRADE_NOT_EXIST", False)
    gateway = await merchant.call(QUERY, {"out_trade_no": NUMBER}, version="2.0")
    assert list(gateway.json) == ["alipay_trade_query_response"]
    await merchant.config(sign_errors="all")
    assert merchant.verifies(await merchant.call(QUERY, {"out_trade_no": NUMBER}, version="2.0"))


async def test_the_answer_can_wait_for_the_notice(merchant):
    async with listener(b"success") as (url, came):
        merchant.notify_url = url
        await merchant.fault(CREATE, {"hold": "until_notice"})
        held = asyncio.ensure_future(merchant.call(CREATE, order(out_trade_no="ZSB2")))
        while (await merchant.control("GET", "/orders/ZSB2")).status == 404:
            await asyncio.sleep(0.01)
        assert not held.done()
        await merchant.pay("ZSB2")
        assert (await held).node["code"] == "10000"
        assert came


@pytest.mark.parametrize("effect", [{}, {"invented": 1}, {"drop": "sometimes"}])
async def test_a_fault_that_makes_no_sense_is_refused(merchant, effect):
    assert (await merchant.control("POST", "/faults", {"effect": effect})).status == 400
