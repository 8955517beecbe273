"""Fen are plain integers; yuan is text and only at the edges."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import payments
from payments import money


@given(st.integers(min_value=-(10**9), max_value=10**9))
def test_fen_to_yuan_text_and_back(fen):
    assert money.fen_from_yuan(money.yuan_text(fen)) == fen


@pytest.mark.parametrize(
    ("text", "fen"), [("0.01", 1), ("10", 1000), ("10.5", 1050), ("-0.10", -10), ("99999.99", 9999999)]
)
def test_yuan_as_partners_write_it(text, fen):
    assert money.fen_from_yuan(text) == fen


@pytest.mark.parametrize(
    "text", ["", "1.234", "1e3", " 1", "1,000.00", "０.01", "٣", "NaN", ".5", "1.", "01.00", "+1", "1\n"]
)
def test_what_is_not_an_amount_is_refused(text):
    with pytest.raises(ValueError):
        money.fen_from_yuan(text)


@pytest.mark.parametrize("amount", [0, -1, True, 1.0, "100", None, 10**11 + 1])
def test_what_is_not_an_amount_of_fen_is_refused(amount):
    with pytest.raises(ValueError):
        money.checked_fen(amount)


def test_no_float_near_money():
    """Spans of time are floats; the modules in which amounts live know neither float nor Decimal."""
    for name in (
        "money",
        "ledger",
        "bills",
        "settlement",
        "prices",
        "models",
        "views",
        "queries",
        "gateways/wechat_pay/orders",
    ):
        path = Path(payments.__file__).parent / f"{name}.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Constant) and type(node.value) is float), path
            assert not (isinstance(node, ast.Name) and node.id in ("float", "Decimal")), path
            assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)), path
