"""Capital numerals (大写) against the printed examples of the rule, a second formulation, and reading them back."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from payments.capitals import capital_text

# 《支付结算办法》附一 第六条 and everyday amounts; where the rule leaves 零 open, we leave it out before 万 and 元.
PRINTED = {
    140_950: "壹仟肆佰零玖元伍角整",
    600_714: "陆仟零柒元壹角肆分",
    168_032: "壹仟陆佰捌拾元叁角贰分",
    10_700_053: "壹拾万柒仟元伍角叁分",
    1_640_902: "壹万陆仟肆佰零玖元零贰分",
    32_504: "叁佰贰拾伍元零肆分",
    1000: "壹拾元整",
    0: "零元整",
    5: "伍分",
    50: "伍角整",
    55: "伍角伍分",
    100_000_005_00: "壹亿零伍元整",
    100_005_000_00: "壹亿零伍仟元整",
    1_000_050_00: "壹佰万零伍拾元整",
    10**11: "壹拾亿元整",
}


@pytest.mark.parametrize(("amount_fen", "text"), PRINTED.items())
def test_as_printed(amount_fen, text):
    assert capital_text(amount_fen) == text


def by_replacing(amount_fen: int) -> str:
    """Every digit with its place, then the zeros are folded: nothing in common with our way of doing it."""
    digits = str(amount_fen // 100)
    places = ["", "拾", "佰", "仟"]
    text = ""
    for at, digit in enumerate(digits):
        power = len(digits) - 1 - at
        text += "零壹贰叁肆伍陆柒捌玖"[int(digit)] + places[power % 4]
        if power % 4 == 0:
            text += ["", "万", "亿", "万亿"][power // 4]
    text = re.sub("零[仟佰拾]", "零", text)
    text = re.sub("零+", "零", text)
    text = text.replace("零万亿", "万亿").replace("零亿", "亿").replace("零万", "万")
    text = re.sub("(万亿|亿)(万)", r"\1零", text).replace("万亿亿", "万亿零")
    text = re.sub("零+", "零", text).rstrip("零")
    jiao, fen = amount_fen // 10 % 10, amount_fen % 10
    tail = {
        (False, False): "整",
        (True, False): f"{'零壹贰叁肆伍陆柒捌玖'[jiao]}角整",
        (False, True): f"{'零' if text else ''}{'零壹贰叁肆伍陆柒捌玖'[fen]}分",
        (True, True): f"{'零壹贰叁肆伍陆柒捌玖'[jiao]}角{'零壹贰叁肆伍陆柒捌玖'[fen]}分",
    }[bool(jiao), bool(fen)]
    return (f"{text}元" if text else "") + tail if amount_fen else "零元整"


@given(st.integers(0, 10**14))
@example(100_000_005_00)
@example(1_0000_0000_00)
def test_two_formulations_agree(amount_fen):
    assert capital_text(amount_fen) == by_replacing(amount_fen)


def read_back(text: str) -> int:
    """What a cashier reads."""
    total = section = digit = 0
    for sign in text:
        if sign in "零壹贰叁肆伍陆柒捌玖":
            digit = "零壹贰叁肆伍陆柒捌玖".index(sign)
        elif sign in "拾佰仟":
            section, digit = section + digit * 10 ** (1 + "拾佰仟".index(sign)), 0
        elif sign == "万":
            section, digit = (section + digit) * 10_000, 0
        elif sign == "亿":
            total, section, digit = total + (section + digit) * 10**8, 0, 0
        elif sign == "元":
            total, section, digit = (total + section + digit) * 100, 0, 0
        elif sign in "角分":
            total, digit = total + digit * {"角": 10, "分": 1}[sign], 0
    return total


@given(st.integers(0, 10**13))
def test_a_cashier_reads_the_same_amount(amount_fen):
    text = capital_text(amount_fen)
    assert read_back(text) == amount_fen
    assert "零零" not in text
    assert text.endswith(("整", "分"))


@pytest.mark.parametrize("wrong", [-1, True, 1.0, "1", 10**18])
def test_what_is_no_amount_is_refused(wrong):
    with pytest.raises(ValueError, match="amount"):
        capital_text(wrong)
