"""Reading WeChat Pay's daily files: by column name, with their escapes, and nothing of a file that does not add up.

The files are written by the sandbox's own code, which shares nothing with ours.
"""

import gzip
from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel import clock
from payments.gateways.statement_port import LineKind, StatementInvalid
from payments.gateways.wechat_pay.statement_file import fund_lines, trade_lines
from sandbox.wechat_pay_statement import FLOW_COLUMNS, TRADE_COLUMNS, flow_rows, flow_summary, render, trade_summary

MCHID, APPID = "1900000109", "wxd678efh567hg6787"


def row(number: str, fen: int, **changed: str) -> dict[str, str]:
    yuan = f"{Decimal(fen) / 100:.2f}"
    return dict.fromkeys(TRADE_COLUMNS, "") | {
        "交易时间": "2026-11-19 23:59:59", "公众账号ID": APPID, "商户号": MCHID, "特约商户号": "0",
        "微信订单号": f"4200{number}", "商户订单号": number, "用户标识": "oUpF8u", "交易类型": "JSAPI", "交易状态": "SUCCESS",
        "货币种类": "CNY", "应结订单金额": yuan, "代金券金额": "0.00", "微信退款单号": "0", "商户退款单号": "0", "退款金额": "0.00",
        "充值券退款金额": "0.00", "商品名称": "工本费", "手续费": "0.06000", "费率": "0.60%", "订单金额": yuan, "申请退款金额": "0.00",
    } | changed  # fmt: skip


def refund(number: str, refund_no: str, fen: int, **changed: str) -> dict[str, str]:
    yuan = f"{Decimal(fen) / 100:.2f}"
    return row(number, 0) | {
        "交易状态": "REFUND", "微信退款单号": f"5030{refund_no}", "商户退款单号": refund_no, "退款金额": yuan,
        "退款状态": "PROCESSING", "手续费": "-0.02000", "申请退款金额": yuan,
    } | changed  # fmt: skip


def write(path, rows, *, names=TRADE_COLUMNS, summary=None, content=None):
    plain = render(names, rows, trade_summary(rows) if summary is None else summary) if content is None else content
    path.write_bytes(gzip.compress(plain))
    return path


def read(path):
    return list(trade_lines(path, mchid=MCHID, app_id=APPID))


def test_payments_and_refunds_with_every_field(tmp_path):
    lines = read(
        write(tmp_path / "f", [row("P1", 1000, 应结订单金额="9.00"), refund("P1", "R1", 400, 退款金额="3.60")])
    )
    paid, back = lines
    assert (paid.line_no, paid.kind, paid.payment_no, paid.channel_txn_id) == (1, LineKind.PAYMENT, "P1", "4200P1")
    assert (paid.amount_fen, paid.settle_fen, paid.fee_fen, paid.incoming, paid.done) == (1000, 900, 6, True, True)
    assert paid.happened_at == datetime(2026, 11, 19, 23, 59, 59, tzinfo=clock.SHANGHAI)
    assert paid.refund_no is None
    assert (back.kind, back.refund_no, back.channel_refund_id, back.payment_no) == (
        LineKind.REFUND,
        "R1",
        "5030R1",
        "P1",
    )
    assert (back.amount_fen, back.settle_fen, back.fee_fen, back.incoming) == (400, 360, -2, False)


def test_what_did_not_happen_and_what_belongs_to_another_app(tmp_path):
    rows = [row("P1", 5, 交易状态="REVOKED"), row("P2", 5, 公众账号ID="wx00"), refund("P3", "R3", 5, 退款状态="FAIL"),
            row("P4", 5, 交易状态="NEWWORD")]  # fmt: skip
    revoked, foreign, failed, new = read(write(tmp_path / "f", rows))
    assert (revoked.done, foreign.done, failed.done, new.done) == (False, True, False, False)
    assert (revoked.ours, foreign.ours) == (True, False)
    assert new.kind is LineKind.OTHER


texts = st.text(alphabet=st.sampled_from('证a0,"`\n '), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(1, 10**9), texts, texts), min_size=1, max_size=8),
    column=texts.filter(lambda t: t and not set(t) & set(',`\n"')),
    place=st.integers(0, len(TRADE_COLUMNS)),
)
def test_any_names_and_a_new_column_anywhere(tmp_path_factory, rows, column, place):
    made = [
        row(f"P{n}", fen, 商品名称=name, 商户数据包=attach) | {f"新{column}": name}
        for n, (fen, name, attach) in enumerate(rows)
    ]
    names = (*TRADE_COLUMNS[:place], f"新{column}", *TRADE_COLUMNS[place:])
    lines = read(write(tmp_path_factory.mktemp("s") / "f", made, names=names))
    assert [(line.payment_no, line.amount_fen) for line in lines] == [
        (f"P{n}", fen) for n, (fen, _, _) in enumerate(rows)
    ]


@settings(max_examples=100, deadline=None)
@given(number=st.text(alphabet=st.sampled_from('证a0,"`\n'), min_size=1, max_size=12))
def test_escapes_are_undone(tmp_path_factory, number):
    (line,) = read(write(tmp_path_factory.mktemp("s") / "f", [row(number, 1)]))
    assert line.payment_no == number


BROKEN = {
    "no summary": {"content": render(TRADE_COLUMNS, [row("P1", 1)], None)},
    "cut in a row": {"content": render(TRADE_COLUMNS, [row("P1", 1)], trade_summary([row("P1", 1)]))[:300]},
    "nothing": {"content": b""},
    "count": {"summary": {**trade_summary([row("P1", 1)]), "总交易单数": "2.0"}},
    "sum": {"summary": {**trade_summary([row("P1", 1)]), "订单总金额": "0.02"}},
    "fee": {"summary": {**trade_summary([row("P1", 1)]), "手续费总金额": "0.07000"}},
    "no sum": {"summary": {"总交易单数": "1.0"}},
    "a needed column is gone": {"names": tuple(n for n in TRADE_COLUMNS if n != "订单金额")},
    "a column twice": {"names": (*TRADE_COLUMNS, "费率")},
    "after the end": {"content": render(TRADE_COLUMNS, [row("P1", 1)], trade_summary([row("P1", 1)])) + b"`more\r\n"},
    "not text": {"content": b"\xff\xfe\r\n"},
    "one endless line": {"content": b"\xef\xbb\xbf" + b"x" * 100_000 + b"\r\n"},
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_refused(tmp_path, how):
    with pytest.raises(StatementInvalid):
        read(write(tmp_path / "f", [row("P1", 1)], **BROKEN[how]))


@pytest.mark.parametrize(
    "changed",
    [{"订单金额": "1.005"}, {"订单金额": "-1.00"}, {"订单金额": "NaN"}, {"订单金额": "1e3"}, {"订单金额": ""}, {"交易时间": "yesterday"}, {"商户号": "1900000110"}],
)  # fmt: skip
def test_a_row_that_cannot_be_meant_is_refused(tmp_path, changed):
    good = row("P1", 100)
    with pytest.raises(StatementInvalid):
        read(write(tmp_path / "f", [good | changed], summary=trade_summary([good])))


def test_a_file_that_is_not_packed_is_refused(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(render(TRADE_COLUMNS, [row("P1", 1)], trade_summary([row("P1", 1)])))
    with pytest.raises(StatementInvalid):
        read(path)


def test_the_fund_flow(tmp_path):
    rows = flow_rows([row("P1", 1000), refund("P1", "R1", 400)])
    rows.append(
        rows[0]
        | {"资金流水单号": "F9", "业务类型": "提现", "收支类型": "支出", "收支金额(元)": "5.94", "业务凭证号": ""}
    )
    path = write(tmp_path / "f", rows, names=FLOW_COLUMNS, summary=flow_summary(rows))
    found = list(fund_lines(path, mchid=MCHID, app_id=APPID))
    assert [(f.kind, f.amount_fen, f.incoming) for f in found] == [
        (LineKind.PAYMENT, 1000, True), (LineKind.FEE, 6, False), (LineKind.REFUND, 400, False), (LineKind.FEE, 2, True),
        (LineKind.SETTLEMENT, 594, False),
    ]  # fmt: skip
    assert (found[0].payment_no, found[2].refund_no, found[4].flow_no) == ("P1", "R1", "F9")
    for name in flow_summary(rows):
        wrong = write(tmp_path / "w", rows, names=FLOW_COLUMNS, summary=flow_summary(rows) | {name: "7"})
        with pytest.raises(StatementInvalid):
            list(fund_lines(wrong, mchid=MCHID, app_id=APPID))
