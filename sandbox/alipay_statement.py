"""Statement files of the Alipay sandbox: columns, rows, totals, GBK text, ZIP; who may fetch them is decided elsewhere."""

import io
import zipfile
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

from sandbox.alipay_times import stamp, yuan
from sandbox.alipay_trades import total_fen
from sandbox.store import Doc

Row = dict[str, str]

TRADE_COLUMNS = (
    *("支付宝交易号", "商户订单号", "业务类型", "商品名称", "创建时间", "完成时间", "门店编号", "门店名称", "操作员"),
    *("终端号", "对方账户", "订单金额（元）", "商家实收（元）", "支付宝红包（元）", "集分宝（元）", "支付宝优惠（元）"),
    *(
        "商家优惠（元）",
        "券核销金额（元）",
        "券名称",
        "商家红包消费金额（元）",
        "卡消费金额（元）",
        "退款批次号/请求号",
    ),
    *("服务费（元）", "分润（元）", "备注"),
)
ACCOUNT_COLUMNS = (
    *(
        "账务流水号",
        "业务流水号",
        "商户订单号",
        "商品名称",
        "发生时间",
        "对方账号",
        "收入金额（+元）",
        "支出金额（-元）",
    ),
    *("账户余额（元）", "交易渠道", "业务类型", "备注"),
)
_TOTAL_COLUMNS = (
    *(
        "门店编号",
        "门店名称",
        "交易订单总笔数",
        "退款订单总笔数",
        "订单金额（元）",
        "商家实收（元）",
        "支付宝优惠（元）",
    ),
    *("商家优惠（元）", "卡消费金额（元）", "服务费（元）", "分润（元）", "实收净额（元）"),
)
_ZERO = dict.fromkeys(
    (
        *("支付宝红包（元）", "集分宝（元）", "支付宝优惠（元）", "商家优惠（元）", "券核销金额（元）"),
        *("商家红包消费金额（元）", "卡消费金额（元）", "分润（元）"),
    ),
    "0.00",
)


def row_key(row: Row) -> str:
    """A refund row is known by its request number, a payment row by its order number."""
    return row["退款批次号/请求号"] if row["业务类型"] == "退款" else row["商户订单号"]


def payment_row(trade: Doc, rate_per_10000: int) -> Row:
    """One payment: the fee is written as what it is, an expense."""
    payment = trade["payment"]
    total = total_fen(trade)
    return {
        **_shared(trade),
        "业务类型": "交易",
        "完成时间": stamp(payment["at"]),
        "订单金额（元）": yuan(total),
        "商家实收（元）": yuan(total),
        "商家优惠（元）": "0.00",
        "支付宝优惠（元）": yuan(payment["discount_fen"]),
        "退款批次号/请求号": "",
        "服务费（元）": yuan(-_fee_fen(total, rate_per_10000)),
        "备注": trade["request"].get("body", ""),
    }


def refund_row(refund: Doc, trade: Doc, rate_per_10000: int, *, negative: bool) -> Row:
    """One refund; integrators disagree about the sign of its amounts, hence `negative`."""
    amount = -refund["refund_fen"] if negative else refund["refund_fen"]
    return {
        **_shared(trade),
        "业务类型": "退款",
        "完成时间": stamp(refund["finished_at"]),
        "订单金额（元）": yuan(amount),
        "商家实收（元）": yuan(amount),
        "退款批次号/请求号": refund["out_request_no"],
        "服务费（元）": yuan(_fee_fen(refund["refund_fen"], rate_per_10000)),
        "备注": refund["request"].get("refund_reason", ""),
    }


def _shared(trade: Doc) -> Row:
    return {
        **_ZERO,
        "支付宝交易号": trade["trade_no"],
        "商户订单号": trade["out_trade_no"],
        "商品名称": trade["request"]["subject"],
        "创建时间": stamp(trade["created_at"]),
        "对方账户": "*桂兰(159****5620)",
    }


def _fee_fen(fen: int, rate_per_10000: int) -> int:
    return int((Decimal(fen * rate_per_10000) / 10000).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def trade_file(rows: list[Row], *, day: str, seller_id: str, now: float, wish: Doc) -> list[tuple[str, str]]:
    """The two files of a trade bill, name and text; `wish` spoils columns, totals or the end."""
    names = [name for name in TRADE_COLUMNS if name != wish.get("drop_column")]
    if wish.get("extra_column"):
        names.insert(5, str(wish["extra_column"]))
    lines = [
        *_head("支付宝业务明细查询", seller_id, day, "业务明细列表"),
        ",".join(names),
        *(_line(row.get(name, "") for name in names) for row in rows),
        "#-----------------------------------------业务明细列表结束------------------------------------",
        *_totals(rows, wrong=wish.get("summary") == "wrong"),
        f"#导出时间：[{stamp(now, '%Y年%m月%d日 %H:%M:%S')}]",
    ]
    if wish.get("truncate"):
        lines = lines[: len(lines) // 2 + 1]
    stem = f"{seller_id}0156_{day.replace('-', '')}_业务明细"
    return [(f"{stem}.csv", _text(lines)), (f"{stem}(汇总).csv", _text(_summary(rows, seller_id, day)))]


def account_file(rows: list[Row], *, day: str, seller_id: str, now: float, wish: Doc) -> list[tuple[str, str]]:
    """The account movements of the same rows: every trade row moves the account, its fee separately."""
    balance = Decimal(0)
    moves: list[Row] = []
    for row in rows:
        refund = row["业务类型"] == "退款"
        amount = abs(Decimal(row["商家实收（元）"]))
        for kind, change in (("交易退款" if refund else "在线支付", -amount if refund else amount), ("收费", Decimal(row.get("服务费（元）") or 0))):  # fmt: skip
            if not change:
                continue
            balance += change
            moves.append(_move(row, kind, change, balance, len(moves)))
    lines = [
        *_head("支付宝账务明细查询", seller_id, day, "账务明细列表"),
        ",".join(ACCOUNT_COLUMNS),
        *(_line(move.get(name, "") for name in ACCOUNT_COLUMNS) for move in moves),
        "#-----------------------------------------账务明细列表结束------------------------------------",
        f"#支出合计：{sum(1 for m in moves if m['支出金额（-元）'])}笔，共-{_sum(m['支出金额（-元）'] for m in moves)}元",
        f"#收入合计：{sum(1 for m in moves if m['收入金额（+元）'])}笔，共{_sum(m['收入金额（+元）'] for m in moves)}元",
        f"#导出时间：[{stamp(now, '%Y年%m月%d日 %H:%M:%S')}]",
    ]
    if wish.get("truncate"):
        lines = lines[: len(lines) // 2 + 1]
    return [(f"{seller_id}0156_{day.replace('-', '')}_账务明细.csv", _text(lines))]


def _move(row: Row, kind: str, change: Decimal, balance: Decimal, serial: int) -> Row:
    return {
        "账务流水号": f"{row['支付宝交易号']}{serial:04d}",
        "业务流水号": row["支付宝交易号"],
        "商户订单号": row["商户订单号"],
        "商品名称": row["商品名称"],
        "发生时间": row["完成时间"],
        "对方账号": row["对方账户"],
        "收入金额（+元）": f"{change:.2f}" if change > 0 else "",
        "支出金额（-元）": f"{change:.2f}" if change < 0 else "",
        "账户余额（元）": f"{balance:.2f}",
        "交易渠道": "支付宝",
        "业务类型": kind,
        "备注": row["退款批次号/请求号"],
    }


def _head(title: str, seller_id: str, day: str, what: str) -> list[str]:
    shown = f"{day.replace('-', '年', 1).replace('-', '月')}{'日' if day.count('-') == 2 else '月'} 00:00:00"
    return [
        f"#{title}",
        f"#账号：[{seller_id}0156]",
        f"#起始日期：[{shown}]   终止日期：[{shown}]",
        f"#-----------------------------------------{what}----------------------------------------",
    ]


def _totals(rows: list[Row], *, wrong: bool) -> list[str]:
    paid = [row for row in rows if row["业务类型"] == "交易"]
    back = [row for row in rows if row["业务类型"] == "退款"]
    count = len(paid) + (1 if wrong else 0)
    return [
        f"#交易合计：{count}笔，商家实收共{_sum(r['商家实收（元）'] for r in paid)}元，"
        f"商家优惠共{_sum(r.get('商家优惠（元）', '') for r in paid)}元",
        f"#退款合计：{len(back)}笔，商家实收退款共-{_sum(r['商家实收（元）'] for r in back)}元，商家优惠退款共0.00元",
    ]


def _summary(rows: list[Row], seller_id: str, day: str) -> list[str]:
    paid = [row for row in rows if row["业务类型"] == "交易"]
    back = [row for row in rows if row["业务类型"] == "退款"]
    took, gave = Decimal(_sum(r["商家实收（元）"] for r in paid)), Decimal(_sum(r["商家实收（元）"] for r in back))
    fees = sum((Decimal(r.get("服务费（元）") or 0) for r in rows), Decimal(0))
    net = f"{took - gave:.2f}"
    values = ("合计", "", str(len(paid)), str(len(back)), net, net, "0.00", "0.00", "0.00", f"{fees:.2f}", "0.00", f"{took - gave + fees:.2f}")  # fmt: skip
    return [*_head("支付宝业务汇总查询", seller_id, day, "业务汇总列表"), ",".join(_TOTAL_COLUMNS), _line(values)]


def _sum(values: Iterable[str]) -> str:
    return f"{sum((abs(Decimal(value or 0)) for value in values), Decimal(0)):.2f}"


def _line(values: Iterable[str]) -> str:
    """Commas between, a tab after every value; a comma inside a value has become a blank."""
    return ",".join(value.replace(",", " ").replace("\n", " ") + "\t" for value in values)


def _text(lines: list[str]) -> str:
    return "\r\n".join(lines) + "\r\n"


class _GbkName(zipfile.ZipInfo):
    """An entry whose name is GBK without the UTF-8 flag, as the real files have it; `zipfile` itself never writes one."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 — the hook of the base class
        return self.filename.encode("gb18030"), self.flag_bits & ~0x800


def zipped(files: list[tuple[str, str]]) -> bytes:
    """The download: GBK text under GBK names."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files:
            archive.writestr(_GbkName(name), text.encode("gb18030", "replace"), zipfile.ZIP_DEFLATED)
    return packed.getvalue()
