"""Statements of the Alipay partner: an address for 30 seconds, a ZIP in GBK, rows from its own trades."""

import io
import re
import struct
import zipfile
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.sandbox.alipay_caller import BEIJING, SELLER_ID, Merchant, bank, fetch

TODAY = datetime.now(BEIJING).strftime("%Y-%m-%d")
CALL = "alipay.data.dataservice.bill.downloadurl.query"


@pytest.fixture
async def merchant(tmp_path):
    async with bank(tmp_path) as partner:
        merchant = Merchant(partner)
        await merchant.config(time_scale=0)
        yield merchant


@pytest.fixture
async def busy(merchant):
    """Two payments, one of them refunded in part."""
    await merchant.paid(out_trade_no="P1", total_amount="10.00", subject="证,费")
    await merchant.paid(out_trade_no="P2", total_amount="25.50", body="窗口")
    await merchant.refund("5.25", "R1", number="P2", refund_reason="多缴")
    return merchant


async def offer(merchant, day=TODAY, kind="trade", **more):
    return await merchant.call(CALL, {"bill_type": kind, "bill_date": day, "secure": "true", **more})


async def ready(merchant, day=TODAY, **wish):
    got = await merchant.control("POST", f"/statements/{day}", wish)
    assert got.status == 200, got.body


async def bill(merchant, kind="trade") -> dict[str, str]:
    """File name → text of the unpacked download."""
    got = await offer(merchant, kind=kind)
    assert merchant.verifies(got)
    done = await fetch("GET", got.node["bill_download_url"])
    assert done.status == 200
    # The names are GBK; what `zipfile` cannot know is decoded as CP437.
    with zipfile.ZipFile(io.BytesIO(done.body)) as archive:
        assert all(not info.flag_bits & 0x800 for info in archive.infolist())
        return {i.filename.encode("cp437").decode("gbk"): archive.read(i).decode("gbk") for i in archive.infolist()}


def table(text: str) -> tuple[list[str], list[dict[str, str]]]:
    """Header and rows between the two list markers, found by name and stripped of tabs."""
    lines = text.split("\r\n")
    begin = next(i for i, line in enumerate(lines) if line.startswith("#---"))
    end = next(i for i, line in enumerate(lines) if line.startswith("#---") and "结束" in line)
    header = lines[begin + 1].split(",")
    return header, [dict(zip(header, (v.strip() for v in line.split(",")), strict=True)) for line in lines[begin + 2 : end]]  # fmt: skip


async def test_the_trade_bill_lists_payments_and_refunds(busy):
    await ready(busy)
    files = await bill(busy)
    day = TODAY.replace("-", "")
    assert list(files) == [f"{SELLER_ID}0156_{day}_业务明细.csv", f"{SELLER_ID}0156_{day}_业务明细(汇总).csv"]
    text = next(iter(files.values()))
    assert text.startswith("#支付宝业务明细查询\r\n#账号：[")
    assert "\t," in text
    header, rows = table(text)
    assert len(header) == 25
    first, second, refund = sorted(rows, key=lambda row: (row["业务类型"] == "退款", row["商户订单号"]))
    assert (first["商户订单号"], first["订单金额（元）"], first["商品名称"]) == ("P1", "10.00", "证 费")
    assert (second["商户订单号"], second["备注"], second["服务费（元）"]) == ("P2", "窗口", "-0.15")
    assert (refund["业务类型"], refund["商户订单号"], refund["退款批次号/请求号"]) == ("退款", "P2", "R1")
    assert (refund["订单金额（元）"], refund["服务费（元）"]) == ("-5.25", "0.03")
    assert refund["支付宝交易号"] == second["支付宝交易号"] == (await busy.query("P2")).node["trade_no"]
    assert "#交易合计：2笔，商家实收共35.50元，商家优惠共0.00元" in text
    assert "#退款合计：1笔，商家实收退款共-5.25元，" in text


async def test_refunds_may_be_written_without_a_sign(busy):
    await busy.config(refund_sign="positive")
    await ready(busy)
    _, rows = table(next(iter((await bill(busy)).values())))
    assert [row["订单金额（元）"] for row in rows if row["业务类型"] == "退款"] == ["5.25"]


async def test_the_account_bill_ends_at_what_is_left(busy):
    await ready(busy)
    ((name, text),) = (await bill(busy, kind="signcustomer")).items()
    assert name.endswith("_账务明细.csv")
    _, rows = table(text)
    moved = sum(Decimal(row["收入金额（+元）"] or 0) + Decimal(row["支出金额（-元）"] or 0) for row in rows)
    assert moved == Decimal(rows[-1]["账户余额（元）"]) == Decimal("35.50") - Decimal("5.25") - Decimal("0.18")
    assert {row["业务类型"] for row in rows} == {"在线支付", "交易退款", "收费"}


async def test_the_address_lives_thirty_seconds(busy):
    await ready(busy)
    url = (await offer(busy)).node["bill_download_url"]
    await busy.control("POST", "/clock", {"offset_s": 31})
    late = await fetch("GET", url)
    assert (late.status, b"PK" in late.body) == (404, False)
    assert (await fetch("GET", re.sub("token=[^&]*", "token=unknown", url))).status == 404
    again = (await offer(busy)).node["bill_download_url"]
    assert again != url
    assert (await fetch("GET", again)).body.startswith(b"PK")


async def test_a_day_is_ready_the_next_morning(busy):
    assert (await offer(busy)).sub_code == "INVAILID_ARGUMENTS"
    midnight = datetime.now(BEIJING).replace(hour=0, minute=0, second=0) + timedelta(days=1)
    await busy.config(max_skew_s=None)
    for hour, expected in ((8.9, "BILL_NOT_EXIST"), (9.1, None)):
        offset = (midnight - datetime.now(BEIJING)).total_seconds() + hour * 3600
        await busy.control("POST", "/clock", {"offset_s": offset})
        assert (await offer(busy)).sub_code == expected
    old = (datetime.now(BEIJING) - timedelta(days=7 * 365)).strftime("%Y-%m-%d")
    assert (await offer(busy, day=old)).sub_code == "BILL_DATE_BEFORE_REGISTRATION"


async def test_a_month_lists_all_its_days(busy):
    await busy.config(max_skew_s=None)
    await busy.control("POST", "/clock", {"offset_s": 32 * 86400})
    got = await offer(busy, day=TODAY[:7])
    assert b"PK" in (await fetch("GET", got.node["bill_download_url"])).body


async def test_a_day_without_trades_has_an_empty_file_or_none(merchant):
    await ready(merchant)
    got = await offer(merchant)
    assert got.node["bill_file_code"] == "EMPTY_DATA_WITH_BILL_FILE"
    files = await bill(merchant)
    assert table(next(iter(files.values())))[1] == []
    await merchant.config(empty_bill="error")
    assert (await offer(merchant)).sub_code == "NO_BILL_DATA"


@pytest.mark.parametrize(("wish", "sub_code"), [("creating", "BILL_NOT_EXIST"), ("none", "NO_BILL_DATA")])
async def test_a_day_may_be_late_or_missing(busy, wish, sub_code):
    await ready(busy, ready=wish)
    got = await offer(busy)
    assert (got.node["code"], got.sub_code) == ("40004", sub_code)
    assert busy.verifies(got)


@pytest.mark.parametrize(
    ("change", "sub_code"),
    [
        ({"bill_type": "unknown"}, "TYPE_NOT_SUPPORTED"),
        ({"bill_date": "20260101"}, "INVAILID_ARGUMENTS"),
        ({"secure": True}, "INVAILID_ARGUMENTS"),
        ({"bill_type": ...}, "INVAILID_ARGUMENTS"),
    ],
)
async def test_malformed_requests_have_codes_without_a_prefix(merchant, change, sub_code):
    content = {"bill_type": "trade", "bill_date": TODAY, **change}
    assert (await merchant.call(CALL, {k: v for k, v in content.items() if v is not ...})).sub_code == sub_code


async def test_the_next_statement_can_be_spoiled_and_the_one_after_is_right(busy):
    trade_no = (await busy.query("P1")).node["trade_no"]
    await ready(
        busy, drop=["P2"], change={"R1": {"订单金额（元）": "-5.26"}}, extra_column="新列",
        add=[{"支付宝交易号": "X", "商户订单号": "P9", "订单金额（元）": "1.00", "商家实收（元）": "1.00", "完成时间": f"{TODAY} 12:00:00"}],
    )  # fmt: skip
    header, rows = table(next(iter((await bill(busy)).values())))
    assert header[5] == "新列"
    found = {row["退款批次号/请求号"] or row["商户订单号"]: row["订单金额（元）"] for row in rows}
    assert found == {"P1": "10.00", "R1": "-5.26", "P9": "1.00"}
    assert rows[0]["支付宝交易号"] == trade_no
    header, rows = table(next(iter((await bill(busy)).values())))
    assert (len(header), len(rows)) == (25, 3)


async def test_totals_columns_and_the_end_can_be_wrong(busy):
    await ready(busy, summary="wrong")
    assert "#交易合计：3笔，" in next(iter((await bill(busy)).values()))
    await ready(busy, drop_column="完成时间")
    assert "完成时间" not in next(iter((await bill(busy)).values()))
    await ready(busy, truncate=True)
    assert "列表结束" not in next(iter((await bill(busy)).values()))
    await ready(busy, not_zip=True)
    got = await fetch("GET", (await offer(busy)).node["bill_download_url"])
    assert got.body.startswith(b"<html>")


@pytest.mark.parametrize("wish", [{"surprise": 1}, {"ready": "soon"}, {"drop": "P1"}])
async def test_a_wish_that_makes_no_sense_is_refused(merchant, wish):
    assert (await merchant.control("POST", f"/statements/{TODAY}", wish)).status == 400


async def test_the_names_are_gbk_in_both_directories_of_the_zip(busy):
    await ready(busy)
    body = (await fetch("GET", (await offer(busy)).node["bill_download_url"])).body
    name = f"{SELLER_ID}0156_{TODAY.replace('-', '')}_业务明细.csv".encode("gbk")
    assert body.count(name) == 2
    assert struct.unpack("<H", body[6:8])[0] & 0x800 == 0


async def test_the_download_can_fail(busy):
    await ready(busy)
    url = (await offer(busy)).node["bill_download_url"]
    await busy.fault("bill_download", {"body": "truncated"})
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO((await fetch("GET", url)).body))
    assert (await fetch("GET", url)).body.startswith(b"PK")
