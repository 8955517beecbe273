"""Daily bills of Alipay: GBK with tabs, columns by name, totals that must agree, ZIPs that must be harmless, addresses that must be theirs."""

import io
import tracemalloc
import zipfile
from datetime import date
from pathlib import Path

import pytest

from kernel.http import Answer, NoAnswer, Partner
from payments.gateways.alipay import requests
from payments.gateways.alipay.statements import AlipayStatements
from payments.gateways.statement_port import Fetched, LineKind, NotFetched, StatementInvalid, StatementKind
from tests.payments import alipay_side as alipay

COLUMNS = (
    "支付宝交易号", "商户订单号", "业务类型", "商品名称", "创建时间", "完成时间", "门店编号", "门店名称", "操作员", "终端号", "对方账户",
    "订单金额（元）", "商家实收（元）", "支付宝红包（元）", "集分宝（元）", "支付宝优惠（元）", "商家优惠（元）", "券核销金额（元）", "券名称",
    "商家红包消费金额（元）", "卡消费金额（元）", "退款批次号/请求号", "服务费（元）", "分润（元）", "备注",
)  # fmt: skip
PAYMENT = {
    "支付宝交易号": "2026111922001", "商户订单号": "N1", "业务类型": "交易", "商品名称": "工本费", "创建时间": "2026-11-19 09:59:00",
    "完成时间": "2026-11-19 10:00:00", "订单金额（元）": "10.00", "商家实收（元）": "9.50", "服务费（元）": "-0.06", "退款批次号/请求号": "",
}  # fmt: skip
REFUND = PAYMENT | {
    "业务类型": "退款", "完成时间": "2026-11-19 23:59:59", "订单金额（元）": "-3.00", "商家实收（元）": "-3.00", "退款批次号/请求号": "R1",
    "服务费（元）": "0.02",
}  # fmt: skip
TOTALS = (
    "#交易合计：1笔，商家实收共9.50元，商家优惠共0.00元",
    "#退款合计：1笔，商家实收退款共-3.00元，商家优惠退款共0.00元",
)
LIST, END = (
    "#-----------------业务明细列表----------------",
    "#-----------------业务明细列表结束------------",
)


def text(rows=(PAYMENT, REFUND), *, columns=COLUMNS, totals=TOTALS, before=(), end=END) -> str:
    lines = [
        "#支付宝业务明细查询", f"#账号：[{alipay.SELLER}0156]", *before, LIST, ",".join(columns),
        *(",".join(row.get(name, "") + "\t" for name in columns) for row in rows), end, *totals,
        "#导出时间：[2026年11月20日 09:12:13]",
    ]  # fmt: skip
    return "\r\n".join(lines) + "\r\n"


class GbkName(zipfile.ZipInfo):
    """A name in GBK without the flag that says so, as the real files have it."""

    def _encodeFilenameFlags(self):
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


def packed(*entries: tuple[str, bytes], into: Path) -> Path:
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(GbkName(name), content, zipfile.ZIP_DEFLATED)
    return into


STEM = f"{alipay.SELLER}0156_20261119_业务明细"


@pytest.fixture
def reading(frozen_clock, tmp_path):
    gateway, _ = alipay.gateway()
    statements = AlipayStatements(client=gateway._client, hosts=("dwbillcenter.alipay.com",))

    def read(content: str | bytes, name: str = f"{STEM}.csv", *more):
        raw = content if isinstance(content, bytes) else content.encode("gbk")
        path = packed((name, raw), (f"{STEM}(汇总).csv", b"#"), *more, into=tmp_path / "trade.zip")
        return list(statements.lines(path, StatementKind.TRADE))

    return read


def test_a_payment_and_a_refund(reading):
    paid, back = reading(text())
    assert (paid.kind, paid.amount_fen, paid.settle_fen, paid.fee_fen) == (LineKind.PAYMENT, 1000, 950, 6)
    assert (paid.payment_no, paid.channel_txn_id, paid.refund_no) == ("N1", "2026111922001", None)
    assert paid.happened_at.isoformat() == "2026-11-19T10:00:00+08:00"
    assert (back.kind, back.amount_fen, back.fee_fen, back.refund_no) == (LineKind.REFUND, 300, -2, "R1")
    assert (paid.line_no, back.line_no) == (1, 2)


def test_the_sign_of_a_refund_does_not_matter(reading):
    plus = REFUND | {"订单金额（元）": "3.00", "商家实收（元）": "3.00"}
    assert reading(text((PAYMENT, plus)))[1].amount_fen == 300


def test_columns_are_found_by_name(reading):
    turned = ("备注", *COLUMNS[::-1][1:8], "一个新列", *COLUMNS[::-1][8:])
    assert [line.amount_fen for line in reading(text(columns=turned))] == [1000, 300]


def test_an_older_file_without_what_the_merchant_received(reading):
    fewer = tuple(name for name in COLUMNS if name not in ("商家实收（元）", "服务费（元）", "分润（元）"))
    assert [line.settle_fen for line in reading(text(columns=fewer))] == [None, None]


def test_an_empty_day(reading):
    none = ("#交易合计：0笔，商家实收共0.00元，商家优惠共0.00元", "#退款合计：0笔，商家实收退款共-0.00元")
    assert reading(text((), totals=none)) == []


def test_an_unknown_kind_is_shown_and_not_counted(reading):
    lines = reading(text((PAYMENT, PAYMENT | {"业务类型": "红包"}, REFUND)))
    assert [line.kind for line in lines] == [LineKind.PAYMENT, LineKind.OTHER, LineKind.REFUND]


@pytest.mark.parametrize(
    "column", ["支付宝交易号", "商户订单号", "业务类型", "完成时间", "订单金额（元）", "退款批次号/请求号"]
)
def test_a_file_that_lacks_a_column_is_refused(reading, column):
    with pytest.raises(StatementInvalid, match="header"):
        reading(text(columns=tuple(name for name in COLUMNS if name != column)))


@pytest.mark.parametrize(
    "content",
    [
        text(totals=(TOTALS[0].replace("1笔", "2笔"), TOTALS[1])),
        text(totals=(TOTALS[0].replace("9.50", "9.51"), TOTALS[1])),
        text(totals=(TOTALS[0], TOTALS[1].replace("3.00", "3.01"))),
        text(totals=TOTALS[:1]),
        text(totals=()),
        text(end=""),
        text()[: len(text()) // 2],
        text((PAYMENT | {"订单金额（元）": "10.001"}, REFUND)),
        text((PAYMENT | {"完成时间": ""}, REFUND)),
        text((PAYMENT, REFUND | {"退款批次号/请求号": ""})),
        text((PAYMENT | {"商品名称": "一,二"}, REFUND)),
        text((PAYMENT | {"商品名称": "x" * 20_000}, REFUND)),
        text().replace(alipay.SELLER, "2088999999999999"),
        text().replace(LIST, "#"),
        b"\xff\xff" * 40,
        text().encode("utf-8"),
        b"",
    ],
)  # fmt: skip
def test_a_file_that_is_not_sound_is_refused(reading, content):
    with pytest.raises(StatementInvalid):
        reading(content)


def test_a_quoted_value_may_hold_a_comma(reading):
    quoted = text().replace("工本费\t", '"工本费,一张"', 1)
    assert len(reading(quoted)) == 2


@pytest.mark.parametrize("name", [f"../{STEM}.csv", f"/etc/{STEM}.csv", f"a\\{STEM}.csv", "readme.csv"])
def test_entries_that_no_statement_has(reading, name):
    with pytest.raises(StatementInvalid):
        reading(text(), name)


def test_too_many_or_doubtful_entries(reading, tmp_path):
    with pytest.raises(StatementInvalid):
        reading(text(), f"{STEM}.csv", *((f"{n}.csv", b"") for n in range(20)))
    with pytest.raises(StatementInvalid):
        reading(text(), f"{STEM}.csv", (f"{STEM}2.csv", b""))


def test_only_the_kind_that_is_read(frozen_clock, tmp_path):
    gateway, _ = alipay.gateway()
    statements = AlipayStatements(client=gateway._client, hosts=())
    with pytest.raises(StatementInvalid):
        list(statements.lines(tmp_path / "x", StatementKind.FUND))


def test_a_long_file_takes_no_memory(frozen_clock, tmp_path):
    gateway, _ = alipay.gateway()
    statements = AlipayStatements(client=gateway._client, hosts=())
    many = 60_000
    totals = (
        f"#交易合计：{many}笔，商家实收共{many * 950 // 100}.00元",
        TOTALS[1].replace("1笔", "0笔").replace("3.00", "0.00"),
    )
    path = packed((f"{STEM}.csv", text((PAYMENT,) * many, totals=totals).encode("gbk")), into=tmp_path / "long.zip")
    tracemalloc.start()
    try:
        assert sum(1 for _ in statements.lines(path, StatementKind.TRADE)) == many
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


class Bills:
    """Instead of a download: what was asked for and what came."""

    def __init__(self, *answers) -> None:
        self.answers, self.asked = list(answers), []

    async def download(self, target, *, into, max_bytes, **more):
        self.asked.append((target, max_bytes))
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        status, content = found
        if status == 200:
            into.write_bytes(content)
        return Answer(status, {}, b"")


@pytest.fixture
def fetching(frozen_clock, tmp_path, monkeypatch):
    gateway, wire = alipay.gateway()
    statements = AlipayStatements(client=gateway._client, hosts=("dwbillcenter.alipay.com",))

    async def fetch(*nodes, downloads=(), **how):
        wire.answers[:] = [alipay.answer(requests.BILL_URL, node, **how) for node in nodes]
        bills = Bills(*downloads)
        monkeypatch.setattr(Partner, "download", lambda self, target, **more: bills.download(target, **more))
        fetch.bills = bills
        return await statements.fetch(day=date(2026, 11, 19), kind=StatementKind.TRADE, into=tmp_path)

    fetch.wire = wire
    return fetch


URL = {"code": "10000", "bill_download_url": "https://dwbillcenter.alipay.com/downloadBillFile.resource?token=a&b=c"}


def zipped(content: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(GbkName(f"{STEM}.csv"), content.encode("gbk"))
    return out.getvalue()


async def test_a_bill_is_fetched_and_hashed_by_ourselves(fetching):
    found = await fetching(URL, downloads=[(200, zipped(text()))])
    assert isinstance(found, Fetched)
    assert (found.proof, len(found.sha256)) == ("https", 64)
    assert fetching.bills.asked[0][0] == "/downloadBillFile.resource?token=a&b=c"
    assert fetching.wire.sent[0]["biz_content"] == '{"bill_date":"2026-11-19","bill_type":"trade","secure":"true"}'
    later = text().replace("09:12:13", "10:00:00")
    assert (await fetching(URL, downloads=[(200, zipped(later))])).sha256 == found.sha256


async def test_an_address_that_came_too_late_is_asked_for_once_more(fetching):
    assert isinstance(await fetching(URL, URL, downloads=[(404, b""), (200, zipped(text()))]), Fetched)
    assert len(fetching.wire.sent) == 2
    assert isinstance(await fetching(URL, URL, downloads=[(404, b""), (404, b"")]), NotFetched)


@pytest.mark.parametrize(
    "address",
    [
        "http://dwbillcenter.alipay.com/x", "https://evil.example/x", "https://dwbillcenter.alipay.com@evil.example/x",
        "https://dwbillcenter.alipay.com:444/x", "file:///etc/passwd", "https://[", "", None, 5,
    ],
)  # fmt: skip
async def test_an_address_that_is_not_theirs_is_not_opened(fetching, address):
    found = await fetching({"code": "10000", "bill_download_url": address})
    assert (found.reason, fetching.bills.asked) == ("unknown", [])


@pytest.mark.parametrize(
    ("node", "how", "reason", "again"),
    [
        ({"code": "40004", "sub_code": "NO_BILL_DATA"}, {}, "none", None),
        ({"code": "40004", "sub_code": "NO_BILL_DATA"}, {"signer": None}, "unknown", 300),
        ({"code": "40004", "sub_code": "BILL_NOT_EXIST"}, {}, "creating", 1800),
        ({"code": "40004", "sub_code": "INVAILID_ARGUMENTS"}, {}, "unknown", 3600),
        ({"code": "40005", "sub_code": "isv.app-call-limited"}, {}, "unknown", 300),
        (URL, {"signer": "somebody"}, "unknown", 300),
        (URL, {"signer": None}, "unknown", 300),
    ],
)
async def test_why_there_is_no_bill(fetching, node, how, reason, again):
    found = await fetching(node, **how)
    assert (found.reason, found.again_seconds) == (reason, again)


@pytest.mark.parametrize("download", [(200, b"<html>error</html>"), (200, b""), NoAnswer("x", "y", "z")])
async def test_a_download_that_is_no_bill(fetching, download):
    assert (await fetching(URL, downloads=[download])).reason == "unknown"
