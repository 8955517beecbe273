"""GB 11643, GB 32100, phones and names: what is accepted, what is refused and in which words."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric
from stdnum.cn import uscc as uscc_oracle

from backend.formats import identity_number, names, phones, uscc
from backend.formats.identity_number import IdType


@pytest.mark.parametrize(
    ("number", "kind", "sex"),
    [
        ("11010519491231002X", IdType.RESIDENT_ID, "female"),  # sample printed in the standard
        ("570101198504123020", IdType.RESIDENT_ID, "female"),  # synthetic: prefix 57 belongs to nobody
        ("57010119740923019X", IdType.RESIDENT_ID, "male"),
        ("810000199001010019", IdType.HMT_PERMIT, "male"),
        ("830000199001010039", IdType.HMT_PERMIT, "male"),
        ("911124198504120056", IdType.FOREIGN_PERMANENT, "male"),
    ],
)
def test_right_numbers_are_accepted_whatever_their_area_code(number, kind, sex):
    parsed = identity_number.parse(number)
    assert (parsed.id_type, parsed.sex) == (kind, sex)


def test_a_number_is_stored_in_one_form_only():
    assert identity_number.normalise(" 57010119740923019x ") == "57010119740923019X"
    assert identity_number.normalise("５７０１０１ 19740923 019Ｘ") == "57010119740923019X"
    assert identity_number.parse("570101 19850412 3020").born_on == date(1985, 4, 12)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("", "请填写"),
        ("570101198504123021", "最后一位"),
        ("570101190002290017", "1900 年 02 月 29 日不存在"),
        ("440524188001010014", "出生年份 1880 过早"),
        ("57010119850412302", "17 位"),
        ("570101850412302", "第一代身份证"),
        ("5701011985041230X0", "前 17 位只能是数字"),
        ("五七零一零一一九八五零四一二三零二零", "前 17 位只能是数字"),
    ],
)
def test_each_fault_is_named(number, words):
    assert any(words in fault for fault in identity_number.faults(number))
    with pytest.raises(ValueError) as refused:
        identity_number.parse(number)
    assert not number or number not in str(refused.value)  # the input is personal data: never in an exception


def test_two_faults_are_told_together():
    assert len(identity_number.faults("570101190013410011")) == 2


def test_nobody_is_born_tomorrow(frozen_clock):
    first = "57010120261120001"
    number = first + identity_number.check_character(first)
    assert identity_number.faults(number) == ("号码中的出生日期在今天之后",)
    frozen_clock.advance(days=1)
    assert identity_number.faults(number) == ()


@given(st.text("0123456789", min_size=17, max_size=17))
def test_the_check_character_agrees_with_an_independent_implementation(first):
    assert identity_number.check_character(first) == ric.calc_check_digit(first + "0")


@given(st.text(max_size=30))
def test_no_text_at_all_breaks_the_checks(text):
    identity_number.faults(text)
    uscc.check(text)
    names.faults(text)
    phones.is_contact(text)


@pytest.mark.parametrize(
    "code",
    ["91350100M000100Y43", "11440100007482575H", "91620981MA7E4RT02W", "11620981MA7E4RT025", "91620981013888889F"],
)
def test_right_credit_codes(code):
    assert uscc.check(code) == uscc.Verdict(())
    assert uscc_oracle.is_valid(code)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", "请填写"),
        ("91350100M000100Y44", "校验不符"),
        ("91350100M000100Y4", "18 位"),
        ("9135O100M000100Y43", "字母 O 请改为数字 0"),
        ("91A50100M000100Y43", "只能是数字"),
    ],
)
def test_wrong_credit_codes_are_explained(code, words):
    assert words in uscc.check(code).faults[0]


def test_an_odd_inner_code_only_warns():
    first = "91620981MA7E4RT0X"  # right characters, wrong inner check
    verdict = uscc.check(first + uscc.check_character(first))
    assert verdict.faults == () and "原件" in verdict.warnings[0]


@given(st.text("0123456789ABCDEFGHJKLMNPQRTUWXY", min_size=9, max_size=9))
def test_credit_code_check_agrees_with_an_independent_implementation(tail):
    first = "91620981" + tail
    assert uscc.check_character(first) == uscc_oracle.calc_check_digit(first)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        (" 王秀兰 ", "王秀兰"),
        ("阿依古丽•买买提", "阿依古丽·买买提"),
        ("阿依古丽．买买提", "阿依古丽·买买提"),
        ("Ａｎｎａ Ｌee", "Anna Lee"),
        ("李𬀩", "李𬀩"),  # a rare character outside the basic plane
    ],
)
def test_names_have_one_form(typed, stored):
    assert names.normalise(typed) == stored and names.faults(typed) == ()


@pytest.mark.parametrize(
    ("typed", "words"), [("", "请填写"), ("王", "2 至 50"), ("王秀兰1", "只能包含"), ("··", "没有文字")]
)
def test_wrong_names(typed, words):
    assert any(words in fault for fault in names.faults(typed))


def test_phones():
    assert phones.normalise("+86 139-0000-0001") == "13900000001"
    assert phones.is_mobile("0086 13900000001") and not phones.is_mobile("12900000001")
    assert phones.is_contact("0937-3336666") and not phones.is_mobile("0937-3336666")
    assert not phones.is_contact("3336666")
