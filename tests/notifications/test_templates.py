"""What messages say, and the values WeChat accepts."""

import re
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.channels.wechat_values import KINDS, UnfitValue, fitted, kind_of
from notifications.templates import TEMPLATES, Kind, write_amount
from sandbox.wechat_values import complaint

VALUES = {
    "case_no": "620981261120101000012",
    "item": "老年人优待证补办",
    "status": "已受理",
    "at": datetime(2026, 1, 5, 7, 1, tzinfo=UTC),
    "hint": "办结后会寄给您",
    "what": "近期免冠照片",
    "until": date(2026, 1, 5),
    "amount": 1000,
    "cause": "申请已撤回",
    "how": "已退回原支付账户",
}


def values_of(name: str) -> dict:
    return {field: VALUES[field] for field in TEMPLATES[name].fields}


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_message_reads_as_a_chinese_sentence(name):
    text = TEMPLATES[name].rendered(TEMPLATES[name].written(values_of(name)))
    assert "{" not in text
    assert "。。" not in text
    assert text.endswith("。")
    assert "老年人优待证补办" in text
    assert re.search(r"[a-z_]", text) is None


def test_times_are_written_in_beijing_and_money_by_the_fen():
    written = TEMPLATES["payment"].written(values_of("payment"))
    assert written["amount"] == "¥10.00"
    assert TEMPLATES["progress"].written(values_of("progress"))["at"] == "2026年1月5日 15:01"
    assert TEMPLATES["correction"].written(values_of("correction"))["until"] == "2026年1月5日"
    late = values_of("correction") | {"until": datetime(2026, 1, 5, 16, 30, tzinfo=UTC)}
    assert TEMPLATES["correction"].written(late)["until"] == "2026年1月6日"


@given(st.integers(0, 10**12))
def test_money_is_exact(fen):
    yuan, cents = write_amount(fen).removeprefix("¥").split(".")
    assert int(yuan) * 100 + int(cents) == fen
    assert len(cents) == 2


def test_a_missing_value_has_its_fallback_or_is_a_bug():
    values = values_of("progress")
    del values["hint"]
    assert TEMPLATES["progress"].written(values)["hint"] == "请在小程序中查看详情"
    for wrong in ({**values, "name": "王小芳"}, {"item": "x"}, {**values, "at": "today"}, {**values, "item": 5}):
        with pytest.raises(ValueError, match=r"progress|cannot be written"):
            TEMPLATES["progress"].written(wrong)


def test_braces_and_line_breaks_of_a_value_are_only_text():
    values = values_of("correction") | {"what": "照片{case_no}\n\t（二寸）。"}
    written = TEMPLATES["correction"].written(values)
    assert written["what"] == "照片{case_no} （二寸）"
    assert "照片{case_no} （二寸）。" in TEMPLATES["correction"].rendered(written)


# -- WeChat's value rules ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "sent"),
    [
        ("thing1", "老年人优待证补办", "老年人优待证补办"),
        ("thing1", "一" * 20, "一" * 20),
        ("thing1", "一" * 21, "一" * 19 + "…"),
        ("thing02", "两\n行\u200b字", "两 行 字"),
        ("character_string04", "620981261120101000012", "620981261120101000012"),
        ("time4", "2026年1月5日 15:01", "2026年1月5日 15:01"),
        ("date4", "2026年1月5日", "2026年1月5日"),
        ("amount3", "¥4.00", "¥4.00"),
        ("phone_number1", "139****0001", "139****0001"),
        ("name1", "买买提·吐尔逊江·阿不都热依木", "买买提·吐尔逊江·阿"),
        ("name1", "Alexandrina Victoria Maria", "Alexandrina Victoria"),
        ("phrase3", "已受理", "已受理"),
        ("phrase3", "已提交，等待受理", "已提交"),
        ("phrase3", "已办结：准予", "已办结准予"),
        ("number5", "42", "42"),
    ],
)
def test_values_are_sent_as_wechat_takes_them(key, value, sent):
    assert fitted(key, value) == sent
    assert complaint(key, sent) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("thing1", ""),
        ("thing1", " \n"),
        ("character_string1", "办件620981"),
        ("character_string1", "1" * 33),
        ("phrase3", "OK"),
        ("time4", "明天"),
        ("date4", "2026-13-45x"),
        ("amount3", "十元"),
        ("amount3", "¥12345678901"),
        ("number1", "1 2"),
        ("name1", "12345"),
        ("enum1", "x"),
        ("short_thing1", "x"),
        ("thing", "x"),
    ],
)
def test_what_cannot_be_cut_to_fit_is_not_sent(key, value):
    with pytest.raises(UnfitValue) as raised:
        fitted(key, value)
    assert key in str(raised.value)


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=60))
def test_whatever_passes_us_passes_wechat(kind, value):
    """The sandbox holds WeChat's rules in its own words."""
    key = f"{kind}1"
    assert kind_of(key) == kind
    try:
        sent = fitted(key, value)
    except UnfitValue:
        return
    assert complaint(key, sent) is None


@given(
    st.sampled_from(["thing1", "phrase1", "name1"]), st.text(alphabet="已办结，：准予 0aA\n", min_size=1, max_size=40)
)
def test_texts_of_every_length_end_inside_the_limit(key, value):
    try:
        assert complaint(key, fitted(key, value)) is None
    except UnfitValue:
        return


def test_every_template_can_be_carried_by_the_keys_wechat_offers():
    fits = {
        Kind.TEXT: "thing1",
        Kind.NUMBER: "character_string1",
        Kind.STATUS: "phrase1",
        Kind.TIME: "time1",
        Kind.DAY: "date1",
        Kind.AMOUNT: "amount1",
    }
    for name, template in TEMPLATES.items():
        written = template.written(values_of(name))
        for field, kind in template.fields.items():
            fitted(fits[kind], written[field])
