"""The list of business lines (业务明细) of Alipay as lines: GBK, by column name, checked against its own totals. No network.

`#` lines before and after, a header, then rows separated by commas, every value followed by a tab. Amounts are yuan. Whether those
of refunds carry a minus is not the same everywhere: the kind of the row decides, never the sign.
"""

import csv
import re
from collections.abc import Iterator
from typing import IO

from payments.gateways.alipay import orders
from payments.gateways.statement_port import LineKind, StatementInvalid, StatementLine
from payments.money import CURRENCY, fen_from_yuan

_ENCODING = "gb18030"
_MOST_BYTES_OF_A_LINE = 16_384
_EXPORTED = "#导出时间".encode(_ENCODING)
_TXN, _NUMBER, _KIND, _DONE_AT, _AMOUNT, _REQUEST = (
    "支付宝交易号", "商户订单号", "业务类型", "完成时间", "订单金额（元）", "退款批次号/请求号",
)  # fmt: skip
_NEEDED = (_TXN, _NUMBER, _KIND, _DONE_AT, _AMOUNT, _REQUEST)
_RECEIVED, _FEE = "商家实收（元）", "服务费（元）"
_KINDS = {"交易": LineKind.PAYMENT, "退款": LineKind.REFUND}
_ACCOUNT = re.compile(r"#账号[：:]\s*\[(\d+)")
_TOTAL = re.compile(r"#(交易|退款)合计[：:]\s*(\d+)笔[，,]\s*商家实收(?:退款)?共\s*(-?[0-9.]+)元")


def lines(file: IO[bytes], *, seller_id: str) -> Iterator[StatementLine]:
    """Payments and refunds in the order of the file. Raises StatementInvalid, at the latest after the last line."""
    text = _texts(file)
    places = _header(text, seller_id)
    counted = {"交易": [0, 0], "退款": [0, 0]}
    for number, row in enumerate(_rows(text, len(places)), start=1):
        field = {name: row[at] for name, at in places.items()}
        line = _line(number, field)
        if field[_KIND] in counted:
            sums = counted[field[_KIND]]
            sums[0], sums[1] = sums[0] + 1, sums[1] + abs(_fen(field[_RECEIVED]) if _RECEIVED in field else 0)
        yield line
    _compare(text, counted, sums_too=_RECEIVED in places)


def raw_lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines as bytes. Raises StatementInvalid for one that is longer than any real one."""
    while line := file.readline(_MOST_BYTES_OF_A_LINE):
        if len(line) == _MOST_BYTES_OF_A_LINE and not line.endswith(b"\n"):
            raise StatementInvalid("a line without end")
        yield line


def is_export_time(line: bytes) -> bool:
    """Whether the line only says when the file was written."""
    return line.startswith(_EXPORTED)


def _texts(file: IO[bytes]) -> Iterator[str]:
    for line in raw_lines(file):
        try:
            yield line.decode(_ENCODING).strip("\r\n")
        except UnicodeDecodeError:
            raise StatementInvalid("not GBK") from None


def _header(text: Iterator[str], seller_id: str) -> dict[str, int]:
    """Column name → place. Everything before the marker of the list is passed by."""
    for line in text:
        account = _ACCOUNT.match(line)
        if account and not account[1].startswith(seller_id):
            raise StatementInvalid("the file of another merchant")
        if line.startswith("#") and "明细列表" in line and "结束" not in line:
            break
    names = [name.strip() for name in next(text, "").split(",")]
    places = {name: at for at, name in enumerate(names)}
    missing = [name for name in _NEEDED if name not in places]
    if missing or len(places) != len(names):
        raise StatementInvalid("the header lacks columns or has one twice")
    return places


def _rows(text: Iterator[str], width: int) -> Iterator[list[str]]:
    """The rows up to the closing marker, without which the file was cut short."""
    for line in text:
        if line.startswith("#"):
            if "列表结束" in line:
                return
            raise StatementInvalid("a remark inside the list")
        row = line.split(",")
        if len(row) != width:  # quoted values, which some exports have
            row = next(csv.reader([line]), [])
        if len(row) != width:
            raise StatementInvalid("a row of another width")
        yield [value.strip() for value in row]
    raise StatementInvalid("the list has no end")


def _line(number: int, field: dict[str, str]) -> StatementLine:
    word, happened_at = field[_KIND], orders.instant(field[_DONE_AT])
    kind = _KINDS.get(word, LineKind.OTHER)
    refund = kind is LineKind.REFUND
    if happened_at is None or not field[_TXN] or (refund and not field[_REQUEST]):
        raise StatementInvalid("a row without time or numbers")
    fee = abs(_fen(field[_FEE])) if field.get(_FEE) else 0
    return StatementLine(
        line_no=number,
        kind=kind,
        amount_fen=abs(_fen(field[_AMOUNT])),
        currency=CURRENCY,
        happened_at=happened_at,
        payment_no=field[_NUMBER] or None,
        channel_txn_id=field[_TXN],
        refund_no=field[_REQUEST] if refund else None,
        fee_fen=-fee if refund else fee,
        settle_fen=abs(_fen(field[_RECEIVED])) if field.get(_RECEIVED) else None,
        incoming=not refund,
        status=word[:20],
    )


def _compare(text: Iterator[str], counted: dict[str, list[int]], *, sums_too: bool) -> None:
    said: dict[str, tuple[int, int]] = {}
    for line in text:
        total = _TOTAL.match(line)
        if total:
            said[total[1]] = (int(total[2]), abs(_fen(total[3])))
    for word, (count, amount) in counted.items():
        if word not in said:
            raise StatementInvalid("the totals are missing")
        if said[word][0] != count or (sums_too and said[word][1] != amount):
            raise StatementInvalid("the totals differ from the rows")


def _fen(text: str) -> int:
    try:
        return fen_from_yuan(text.replace("+", ""))
    except ValueError:
        raise StatementInvalid("not an amount") from None
