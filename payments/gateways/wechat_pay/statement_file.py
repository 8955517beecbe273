"""The two daily files of WeChat Pay as lines: by column name, with their own escapes, checked against their summary. No network.

UTF-8 with BOM, CRLF, a header without backticks, then rows with one backtick before every field, then a summary header and one
summary row. Not RFC CSV: inside a value a comma is a backslash and a blank, a quote has a backslash before it, a line break is a
backslash and an n. Amounts are yuan.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from kernel import clock
from payments.gateways.statement_port import LineKind, StatementInvalid, StatementLine

_MOST_CHARACTERS = 16_384  # of one line; the longest real ones have about a thousand
_UNIT = 100_000  # sums are kept in hundred-thousandths of a yuan: fees have five decimals

_TRADE_KINDS = {"SUCCESS": LineKind.PAYMENT, "REVOKED": LineKind.PAYMENT, "REFUND": LineKind.REFUND}
_FUND_KINDS = {
    "交易": LineKind.PAYMENT,
    "退款": LineKind.REFUND,
    "扣除交易手续费": LineKind.FEE,
    "退回交易手续费": LineKind.FEE,
    "提现": LineKind.SETTLEMENT,
    "自动提现": LineKind.SETTLEMENT,
    "提现退回": LineKind.SETTLEMENT,
}
# Summary column → column of the rows. The first three must be there, the others are checked where they are.
_TRADE_SUMS = {
    "订单总金额": "订单金额",
    "申请退款总金额": "申请退款金额",
    "手续费总金额": "手续费",
    "应结订单总金额": "应结订单金额",
    "退款总金额": "退款金额",
}
_NEEDED_SUMS = ("订单总金额", "申请退款总金额", "手续费总金额")
_TRADE_COLUMNS = (
    "交易时间", "公众账号ID", "商户号", "微信订单号", "商户订单号", "交易状态", "货币种类", "微信退款单号", "商户退款单号",
    "退款状态", "手续费", "订单金额", "申请退款金额",
)  # fmt: skip
_FUND_COLUMNS = ("记账时间", "微信支付业务单号", "资金流水单号", "业务类型", "收支类型", "收支金额(元)", "业务凭证号")

Field = Callable[[str], str]


def trade_lines(path: Path, *, mchid: str, app_id: str) -> Iterator[StatementLine]:
    """Payments and refunds of a trade bill (`bill_type=ALL`). Raises StatementInvalid."""
    with _opened(path) as file:
        rows = _Rows(file, _TRADE_COLUMNS)
        sums = {name: column for name, column in _TRADE_SUMS.items() if column in rows.places}
        totals = dict.fromkeys(sums, 0)
        for field in rows:
            for name, column in sums.items():
                totals[name] += _parts(field(column))
            if field("商户号") != mchid:
                raise StatementInvalid("a line of another merchant")
            yield _trade_line(rows, field, app_id)
        rows.compare("总交易单数", rows.count * _UNIT)
        for name, total in totals.items():
            if name in _NEEDED_SUMS or name in rows.summary:
                rows.compare(name, total)


def fund_lines(path: Path, *, mchid: str, app_id: str) -> Iterator[StatementLine]:
    """Movements of the merchant's basic account. Raises StatementInvalid."""
    with _opened(path) as file:
        rows = _Rows(file, _FUND_COLUMNS)
        into = out = into_count = out_count = 0
        for field in rows:
            line = _fund_line(rows, field)
            if line.incoming:
                into, into_count = into + line.amount_fen * 1000, into_count + 1
            else:
                out, out_count = out + line.amount_fen * 1000, out_count + 1
            yield line
        rows.compare("资金流水总笔数", rows.count * _UNIT)
        rows.compare("收入笔数", into_count * _UNIT)
        rows.compare("收入金额", into)
        rows.compare("支出笔数", out_count * _UNIT)
        rows.compare("支出金额", out)


def _trade_line(rows: "_Rows", field: Field, app_id: str) -> StatementLine:
    status = field("交易状态")
    kind = _TRADE_KINDS.get(status, LineKind.OTHER)
    refund = kind is LineKind.REFUND
    net = "退款金额" if refund else "应结订单金额"
    return StatementLine(
        line_no=rows.count,
        kind=kind,
        amount_fen=_fen(field("申请退款金额" if refund else "订单金额")),
        currency=field("货币种类"),
        happened_at=_instant(field("交易时间")),
        payment_no=field("商户订单号") or None,
        channel_txn_id=field("微信订单号") or None,
        refund_no=(field("商户退款单号") or None) if refund else None,
        channel_refund_id=(field("微信退款单号") or None) if refund else None,
        fee_fen=_rounded_fen(field("手续费")),
        settle_fen=_fen(field(net)) if net in rows.places else None,
        incoming=not refund,
        status=field("退款状态") if refund else status,
        done=field("退款状态") != "FAIL" if refund else status == "SUCCESS",
        ours=field("公众账号ID") == app_id,
    )


def _fund_line(rows: "_Rows", field: Field) -> StatementLine:
    kind = _FUND_KINDS.get(field("业务类型"), LineKind.OTHER)
    number, direction = field("业务凭证号") or None, field("收支类型")
    if direction not in ("收入", "支出"):
        raise StatementInvalid(f"line {rows.count}: neither in nor out")
    return StatementLine(
        line_no=rows.count,
        kind=kind,
        amount_fen=_fen(field("收支金额(元)")),
        currency="CNY",
        happened_at=_instant(field("记账时间")),
        payment_no=number if kind is LineKind.PAYMENT else None,
        refund_no=number if kind is LineKind.REFUND else None,
        channel_txn_id=field("微信支付业务单号") or None,
        incoming=direction == "收入",
        status=field("业务类型"),
        flow_no=field("资金流水单号"),
    )


class _Rows:
    """The rows between the header and the summary; after the last one `summary` holds what the file says of itself."""

    def __init__(self, file: TextIO, needed: tuple[str, ...]) -> None:
        self._file = file
        names = self._line().removeprefix("\ufeff").split(",")
        self.places = {name: place for place, name in enumerate(names)}
        missing = [name for name in needed if name not in self.places]
        if missing or len(self.places) != len(names):
            raise StatementInvalid(f"unexpected columns: {len(names)} columns, missing {missing}")
        self._width = len(names)
        self.count = 0
        self.summary: dict[str, str] = {}

    def __iter__(self) -> Iterator[Field]:
        """Every row as a function from the name of a column to its text."""
        places, width = self.places, self._width
        while (line := self._line()).startswith("`"):
            self.count += 1
            # Commas inside values are escaped, so this cannot split one; a value may begin with backticks of its own.
            fields = line[1:].split(",`")
            if len(fields) != width:
                raise StatementInvalid(f"line {self.count}: {len(fields)} fields instead of {width}")

            def field(name: str, fields: list[str] = fields) -> str:
                value = fields[places[name]]
                return _unescaped(value) if "\\" in value else value

            yield field
        self._read_summary(line)

    def _read_summary(self, header: str) -> None:
        names, values = header.split(","), self._line()
        if not values.startswith("`") or self._file.read(1):
            raise StatementInvalid("the summary is missing or not the end")
        self.summary = dict(zip(names, values[1:].split(",`"), strict=False))

    def _line(self) -> str:
        line = self._file.readline(_MOST_CHARACTERS)
        if not line.endswith("\r\n"):
            raise StatementInvalid(f"cut short after line {getattr(self, 'count', 0)}")
        return line[:-2]

    def compare(self, name: str, ours: int) -> None:
        """Raises StatementInvalid unless the summary says what we counted."""
        if name not in self.summary or _parts(self.summary[name]) != ours:
            raise StatementInvalid(f"{name} is not what the lines add up to")


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="\r\n") as file:
            yield file
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise StatementInvalid(f"cannot be read: {type(error).__name__}") from None


def _unescaped(value: str) -> str:
    return value.replace("\\ ", ",").replace('\\"', '"').replace("\\n", "\n")


@lru_cache(maxsize=8192)
def _parts(yuan: str) -> int:
    """Yuan as hundred-thousandths; counts are written like amounts ("45.0")."""
    try:
        exact = Decimal(yuan) * _UNIT
        whole = int(exact)
    except (InvalidOperation, ValueError, OverflowError):
        raise StatementInvalid("not a number where an amount should be") from None
    if exact != whole or "e" in yuan.lower():
        raise StatementInvalid("an amount with too many decimals")
    return whole


@lru_cache(maxsize=8192)
def _fen(yuan: str) -> int:
    fen, rest = divmod(_parts(yuan), 1000)
    if rest or fen < 0:
        raise StatementInvalid("an amount that is no whole number of fen, or below zero")
    return fen


@lru_cache(maxsize=8192)
def _rounded_fen(yuan: str) -> int:
    """Fees have five decimals in the trade bill; what is taken is whole fen, half up."""
    return int((Decimal(_parts(yuan)) / 1000).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=clock.SHANGHAI)
    except ValueError:
        raise StatementInvalid("not a time where a time should be") from None
