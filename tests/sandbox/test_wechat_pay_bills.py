"""Statements of the WeChat Pay partner: asked for, downloaded with a signature, honest or spoiled."""

import gzip
import hashlib
import time

import pytest

from tests.sandbox.wechat_pay_caller import MCHID, NOTIFY, Merchant, bank

NUMBER = "ZSB00000000000000000000001"
DAY = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 8 * 3600))
TRADE = f"/v3/bill/tradebill?bill_date={DAY}&bill_type="


@pytest.fixture
async def merchant(tmp_path):
    """One paid order of 10 yuan with one yuan of coupon, and a refund of 4 yuan."""
    async with bank(tmp_path) as partner:
        merchant = Merchant(partner)
        await merchant.place(description='优待证,"补办"\n工本费', attach="`附加")
        await merchant.control("POST", f"/orders/{NUMBER}/pay", {"notify": False, "coupon_fen": 100})
        refund = {
            "out_trade_no": NUMBER,
            "out_refund_no": "R1",
            "notify_url": NOTIFY,
            "amount": {"refund": 400, "total": 1000, "currency": "CNY"},
        }
        assert (await merchant.call("POST", "/v3/refund/domestic/refunds", refund)).status == 200
        yield merchant


async def ready(merchant, **wish):
    assert (await merchant.control("POST", f"/statements/{DAY}", wish)).status == 200


async def fetch(merchant, target: str):
    """(the offer, the downloaded bytes)."""
    offer = await merchant.call("GET", target)
    assert offer.status == 200 and merchant.verifies(offer.headers, offer.body)
    got = await merchant.call("GET", offer.json["download_url"].removeprefix(merchant.partner.url))
    assert got.status == 200 and not got.is_signed
    return offer.json, got.body


def lines(content: bytes) -> list[str]:
    assert content.startswith(b"\xef\xbb\xbf") and content.endswith(b"\r\n")
    return content.decode("utf-8-sig").removesuffix("\r\n").split("\r\n")


def fields(line: str) -> list[str]:
    assert all(part.startswith("`") for part in line.split(","))
    return [part[1:] for part in line.split(",")]


async def test_a_whole_day_has_27_columns_and_a_summary(merchant):
    await ready(merchant)
    offer, content = await fetch(merchant, TRADE + "ALL")
    assert offer["hash_value"] == hashlib.sha1(content).hexdigest()
    header, payment, refund, summary_header, summary = lines(content)
    names = header.split(",")
    assert len(names) == 27 and names[24:26] == ["订单金额", "申请退款金额"]
    paid, back = dict(zip(names, fields(payment), strict=True)), dict(zip(names, fields(refund), strict=True))
    assert (paid["商户订单号"], paid["交易状态"], paid["商户号"]) == (NUMBER, "SUCCESS", MCHID)
    assert (paid["订单金额"], paid["应结订单金额"], paid["代金券金额"]) == ("10.00", "9.00", "1.00")
    assert (paid["商品名称"], paid["商户数据包"]) == ('优待证\\ \\"补办\\"\\n工本费', "`附加")
    assert (back["商户退款单号"], back["交易状态"], back["退款状态"]) == ("R1", "REFUND", "PROCESSING")
    assert (back["订单金额"], back["申请退款金额"], back["退款金额"]) == ("0.00", "4.00", "3.60")
    assert float(paid["手续费"]) > 0 > float(back["手续费"])
    total = dict(zip(summary_header.split(","), fields(summary), strict=True))
    assert (total["总交易单数"], total["订单总金额"], total["申请退款总金额"]) == ("2.0", "10.00", "4.00")


@pytest.mark.parametrize(("kind", "columns", "rows"), [("SUCCESS", 20, 1), ("REFUND", 29, 1), ("ALL", 27, 2)])
async def test_each_kind_has_its_columns_also_zipped(merchant, kind, columns, rows):
    await ready(merchant)
    offer, content = await fetch(merchant, f"{TRADE}{kind}&tar_type=GZIP")
    plain = gzip.decompress(content)
    assert offer["hash_value"] == hashlib.sha1(plain).hexdigest()  # over the unzipped bytes
    assert len(lines(plain)) == rows + 3 and len(lines(plain)[0].split(",")) == columns


async def test_the_fund_flow_has_eleven_columns(merchant):
    await ready(merchant)
    _, content = await fetch(merchant, f"/v3/bill/fundflowbill?bill_date={DAY}&account_type=BASIC")
    header, *rows, _, summary = lines(content)
    assert len(header.split(",")) == 11
    assert [fields(row)[4] for row in rows] == ["交易", "扣除交易手续费", "退款", "退回交易手续费"]
    assert fields(summary)[0] == "4.0"


async def test_a_day_that_is_not_over_or_has_no_trade_or_is_being_made(merchant):
    assert (await merchant.call("GET", TRADE + "ALL")).code == "INVALID_REQUEST"
    quiet = await merchant.call("GET", f"/v3/bill/tradebill?bill_date={time.strftime('%Y')}-01-01")
    assert quiet.code in ("NO_STATEMENT_EXIST", "INVALID_REQUEST")
    for word, code in (("creating", "STATEMENT_CREATING"), ("none", "NO_STATEMENT_EXIST")):
        await ready(merchant, ready=word)
        got = await merchant.call("GET", TRADE + "ALL")
        assert (got.status, got.code) == (400, code) and merchant.verifies(got.headers, got.body)
    for query in ("bill_date=20260101", f"bill_date={DAY}&bill_type=X", f"bill_date={DAY}&tar_type=ZIP"):
        assert (await merchant.call("GET", f"/v3/bill/tradebill?{query}")).code == "PARAM_ERROR"


async def test_a_download_needs_a_signature_and_ends_after_five_minutes(merchant):
    await ready(merchant)
    target = (await merchant.call("GET", TRADE + "ALL")).json["download_url"].removeprefix(merchant.partner.url)
    assert (await merchant.call("GET", target, signature="AAAA")).status == 401
    assert (await merchant.call("GET", target.partition("=")[0] + "=guess")).code == "INVALID_REQUEST"
    await merchant.control("POST", "/clock", {"offset_s": 302})
    late = await merchant.call("GET", target, timestamp=str(int(time.time()) + 302))
    assert (late.status, late.code) == (400, "INVALID_REQUEST")


async def test_statements_can_disagree_with_what_happened(merchant):
    extra = {"商户订单号": "FOREIGN1", "订单金额": "5.00", "公众账号ID": "wx0000000000000000"}
    await ready(merchant, drop=["R1"], add=[extra], change={NUMBER: {"订单金额": "1.00"}}, extra_column="新列")
    _, content = await fetch(merchant, TRADE + "ALL")
    header, first, second, *_ = lines(content)
    assert header.split(",")[9] == "新列"
    place = header.split(",").index("订单金额")
    assert [fields(first)[place], fields(second)[place]] == ["1.00", "5.00"]
    assert b"R1" not in content
    _, honest = await fetch(merchant, TRADE + "ALL")
    assert b"R1" in honest and b"FOREIGN1" not in honest


async def test_files_can_be_broken(merchant):
    await ready(merchant, hash="wrong")
    offer, content = await fetch(merchant, TRADE + "ALL")
    assert offer["hash_value"] != hashlib.sha1(content).hexdigest()
    await ready(merchant, truncate=True)
    assert "总交易单数" not in (await fetch(merchant, TRADE + "ALL"))[1].decode()
    await ready(merchant, summary="wrong")
    assert "`0.0" in (await fetch(merchant, TRADE + "ALL"))[1].decode()
    for wish in ({"rea": 1}, {"ready": "soon"}, {"drop": "R1"}):
        assert (await merchant.control("POST", f"/statements/{DAY}", wish)).status == 400
