"""Every wrong field is named at once, with what to do, and nothing of the input is repeated."""

from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from kernel.problems import Invalid
from miniprogram_api.validation import NotJson, convert, decode, query

Fen = Annotated[int, Meta(ge=0, le=10**12)]
Short = Annotated[str, Meta(min_length=1, max_length=5, description="请填写 1 到 5 个字")]


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    name: Short
    amount_fen: Fen


class Order(msgspec.Struct, forbid_unknown_fields=True):
    title: Short
    kind: Literal["a", "b"]
    rows: Annotated[list[Inner], Meta(max_length=2)]
    note: Short | None = None
    urgent: bool = False


GOOD = {"title": "甲", "kind": "a", "rows": [{"name": "乙", "amount_fen": 1}]}


def faults(value) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        convert(value, Order)
    return {e.pointer: e.message for e in caught.value.errors}


def test_a_good_body_becomes_its_type():
    order = decode(msgspec.json.encode(GOOD), Order)
    assert order.rows[0].amount_fen == 1


def test_all_faults_at_once_also_inside_lists():
    found = faults(
        {"title": "", "kind": "z", "rows": [{"name": "too long", "amount_fen": -1}, {}], "extra": 1, "note": 5}
    )
    assert set(found) == {
        "/title", "/kind", "/rows/0/name", "/rows/0/amount_fen", "/rows/1/name", "/rows/1/amount_fen", "/extra", "/note",
    }  # fmt: skip
    assert found["/title"] == "请填写 1 到 5 个字"
    assert found["/kind"] == "只能是：a、b"
    assert found["/rows/1/name"] == "必须填写"


@pytest.mark.parametrize("bad", [False, "0", 1.5, 10**30, None])
def test_money_is_an_integer_and_nothing_else(bad):
    assert "/rows/0/amount_fen" in faults({**GOOD, "rows": [{"name": "乙", "amount_fen": bad}]})


def test_a_list_that_is_too_long_is_named_itself():
    assert "/rows" in faults({**GOOD, "rows": [{"name": "乙", "amount_fen": 1}] * 3})


def test_nul_is_refused_before_the_database_meets_it():
    assert faults({**GOOD, "title": "a\x00"})["/title"] == "含有不允许的字符"


def test_the_value_and_odd_field_names_are_never_repeated():
    secret = "620102199001010019"
    found = faults({**GOOD, "kind": secret, f"x {secret}": 1})
    assert all(secret not in text for pair in found.items() for text in pair)


@pytest.mark.parametrize("raw", [b"", b"[]", b"1", b'"x"'])
def test_a_body_of_another_shape_is_invalid_not_a_crash(raw):
    with pytest.raises(Invalid):
        decode(raw, Order)


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"NaN", b'{"a":1e999}' + b"x", b"[" * 100_000])
def test_what_is_not_json_is_refused_as_such(raw):
    with pytest.raises((NotJson, Invalid)):
        decode(raw, Order)


def test_deep_nesting_is_refused():
    with pytest.raises(NotJson):
        decode(b"[" * 500 + b"]" * 500, Order)


class Page(msgspec.Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: str | None = None


def test_query_strings_are_read_from_text():
    assert query({"limit": ["5"]}, Page).limit == 5
    with pytest.raises(Invalid):
        query({"limit": ["0"]}, Page)
    with pytest.raises(Invalid):
        query({"limit": ["5", "6"]}, Page)
    with pytest.raises(Invalid):
        query({"other": ["5"]}, Page)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(_values)
def test_any_json_value_is_either_accepted_or_refused_with_reasons(value):
    try:
        assert isinstance(convert(value, Order), Order)
    except Invalid as refused:
        assert refused.errors
