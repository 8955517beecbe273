"""Statement files of the WeChat Pay sandbox: columns, rows, escapes, summaries; who may fetch them is decided elsewhere."""

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal

from sandbox.store import Doc
from sandbox.wechat_pay_times import china_digits

Row = dict[str, str]

TRADE_COLUMNS = (
    *("交易时间", "公众账号ID", "商户号", "特约商户号", "设备号", "微信订单号", "商户订单号", "用户标识", "交易类型"),
    *("交易状态", "付款银行", "货币种类", "应结订单金额", "代金券金额", "微信退款单号", "商户退款单号", "退款金额"),
    *("充值券退款金额", "退款类型", "退款状态", "商品名称", "商户数据包", "手续费", "费率", "订单金额"),
    *("申请退款金额", "费率备注"),
)
_REFUND_COLUMNS = (
    *("微信退款单号", "商户退款单号", "退款金额", "充值券退款金额", "退款类型", "退款状态", "申请退款金额"),
)
_REFUND_TIMES = ("退款申请时间", "退款成功时间")
_SUMMARY_COLUMNS = (
    ("应结订单总金额", "应结订单金额", 2),
    ("退款总金额", "退款金额", 2),
    ("充值券退款总金额", "充值券退款金额", 2),
    ("手续费总金额", "手续费", 5),
    ("订单总金额", "订单金额", 2),
    ("申请退款总金额", "申请退款金额", 2),
)
FLOW_COLUMNS = (
    *("记账时间", "微信支付业务单号", "资金流水单号", "业务名称", "业务类型", "收支类型", "收支金额(元)"),
    *("账户结余(元)", "资金变更提交申请人", "备注", "业务凭证号"),
)
# The words of the file are other words than those of the API.
_REFUND_WORDS = {"SUCCESS": "SUCCESS", "PROCESSING": "PROCESSING", "CLOSED": "FAIL", "ABNORMAL": "CHANGE"}
_STAMP = "%Y-%m-%d %H:%M:%S"


def yuan(fen: int) -> str:
    return f"{Decimal(fen) / 100:.2f}"


def fee_fen(fen: int, rate_per_10000: int) -> int:
    return int((Decimal(fen * rate_per_10000) / 10000).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def columns(kind: str) -> tuple[str, ...]:
    """The header of a trade bill: payments only, refunds only, or all 27 columns."""
    if kind == "SUCCESS":
        return tuple(name for name in TRADE_COLUMNS if name not in _REFUND_COLUMNS)
    if kind == "REFUND":
        at = TRADE_COLUMNS.index("微信退款单号")
        return (*TRADE_COLUMNS[:at], *_REFUND_TIMES, *TRADE_COLUMNS[at:])
    return TRADE_COLUMNS


def payment_row(order: Doc, trade_type: str, rate_per_10000: int) -> Row:
    payment, request = order["payment"], order["request"]
    coupon_fen = payment["total_fen"] - payment["payer_total_fen"]
    return {
        **_shared(order, trade_type, rate_per_10000),
        "交易时间": china_digits(payment["at"], _STAMP),
        "交易状态": "SUCCESS",
        "应结订单金额": yuan(payment["payer_total_fen"]),
        "代金券金额": yuan(coupon_fen),
        "微信退款单号": "0",
        "商户退款单号": "0",
        "退款金额": "0.00",
        "申请退款金额": "0.00",
        "商户数据包": request.get("attach", ""),
        "手续费": yuan(fee_fen(payment["payer_total_fen"], rate_per_10000)) + "000",
        "订单金额": yuan(payment["total_fen"]),
    }


def refund_row(refund: Doc, order: Doc, trade_type: str, rate_per_10000: int) -> Row:
    """Dated by the request; the state is the one of the morning the file was made and is never corrected later."""
    settled = refund["finished_at"] is not None and refund["finished_at"] < _made_at(refund["created_at"])
    fee = fee_fen(refund["payer_refund_fen"], rate_per_10000)
    return {
        **_shared(order, trade_type, rate_per_10000),
        "交易时间": china_digits(refund["created_at"], _STAMP),
        "交易状态": "REFUND",
        "应结订单金额": "0.00",
        "代金券金额": "0.00",
        "微信退款单号": refund["refund_id"],
        "商户退款单号": refund["out_refund_no"],
        "退款金额": yuan(refund["payer_refund_fen"]),
        "退款类型": "ORIGINAL",
        "退款状态": _REFUND_WORDS[refund["status"] if settled else "PROCESSING"],
        "商户数据包": order["request"].get("attach", ""),
        "手续费": ("-" if fee else "") + yuan(fee) + "000",
        "订单金额": "0.00",
        "申请退款金额": yuan(refund["refund_fen"]),
        "退款申请时间": china_digits(refund["created_at"], _STAMP),
        "退款成功时间": china_digits(refund["finished_at"], _STAMP)
        if settled and refund["status"] == "SUCCESS"
        else "",
    }


def _made_at(created_at: float) -> float:
    """09:00 in China on the day after."""
    hours, minutes, seconds = (int(china_digits(created_at, part)) for part in ("%H", "%M", "%S"))
    return created_at - (hours * 3600 + minutes * 60 + seconds) + 33 * 3600


def _shared(order: Doc, trade_type: str, rate_per_10000: int) -> Row:
    payment, request = order["payment"], order["request"]
    return {
        "公众账号ID": request["appid"],
        "商户号": request["mchid"],
        "特约商户号": "0",
        "设备号": "",
        "微信订单号": payment["transaction_id"],
        "商户订单号": order["out_trade_no"],
        "用户标识": payment["openid"],
        "交易类型": trade_type,
        "付款银行": payment["bank_type"],
        "货币种类": "CNY",
        "充值券退款金额": "0.00",
        "退款类型": "",
        "退款状态": "",
        "商品名称": request["description"],
        "费率": f"{Decimal(rate_per_10000) / 100:.2f}%",
        "费率备注": "",
    }


def trade_summary(rows: Iterable[Row]) -> Row:
    """Counts carry a decimal point, as the real files do."""
    kept = list(rows)
    summary = {"总交易单数": f"{len(kept)}.0"}
    for name, column, digits in _SUMMARY_COLUMNS:
        total = sum((Decimal(row.get(column) or "0") for row in kept), Decimal(0))
        summary[name] = f"{total:.{digits}f}"
    return summary


def flow_rows(rows: Iterable[Row]) -> list[Row]:
    """The fund-flow of the same day: every trade row moves the account, its fee separately."""
    balance = Decimal(0)
    found: list[Row] = []
    for row in rows:
        refund = row["交易状态"] == "REFUND"
        amount = Decimal(row["退款金额"] if refund else row["应结订单金额"])
        fee = Decimal(row["手续费"])
        entries = [("退款" if refund else "交易", -amount if refund else amount)]
        if fee:
            entries.append(("扣除交易手续费" if fee > 0 else "退回交易手续费", -fee))
        for kind, change in entries:
            balance += change
            found.append(
                {
                    "记账时间": row["交易时间"],
                    "微信支付业务单号": row["微信退款单号"] if refund else row["微信订单号"],
                    "资金流水单号": f"{row['微信订单号']}{len(found):04d}",
                    "业务名称": "退款" if refund else "交易",
                    "业务类型": kind,
                    "收支类型": "收入" if change > 0 else "支出",
                    "收支金额(元)": f"{abs(change):.2f}",
                    "账户结余(元)": f"{balance:.2f}",
                    "资金变更提交申请人": "system",
                    "备注": "",
                    "业务凭证号": row["商户退款单号"] if refund else row["商户订单号"],
                }
            )
    return found


def flow_summary(rows: Iterable[Row]) -> Row:
    kept = list(rows)
    into = [Decimal(row["收支金额(元)"]) for row in kept if row["收支类型"] == "收入"]
    out = [Decimal(row["收支金额(元)"]) for row in kept if row["收支类型"] == "支出"]
    return {
        "资金流水总笔数": f"{len(kept)}.0",
        "收入笔数": f"{len(into)}.0",
        "收入金额": f"{sum(into, Decimal(0)):.2f}",
        "支出笔数": f"{len(out)}.0",
        "支出金额": f"{sum(out, Decimal(0)):.2f}",
    }


def render(names: tuple[str, ...], rows: Iterable[Row], summary: Mapping[str, str] | None) -> bytes:
    """UTF-8 with BOM, CRLF, a backtick before every field; without summary the file is a truncated one."""
    lines = [",".join(names)]
    lines += [",".join("`" + _escaped(row.get(name, "")) for name in names) for row in rows]
    if summary is not None:
        lines += [",".join(summary), ",".join("`" + value for value in summary.values())]
    return ("\ufeff" + "\r\n".join(lines) + "\r\n").encode()


def _escaped(value: str) -> str:
    """Not RFC CSV: a comma becomes backslash and blank, a quote gets a backslash, a line break becomes two letters."""
    return value.replace(",", "\\ ").replace('"', '\\"').replace("\r\n", "\\n").replace("\n", "\\n")
