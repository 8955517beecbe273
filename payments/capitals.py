"""Amounts in the capital numerals of Chinese vouchers (大写), as 《支付结算办法》附一 “正确填写票据和结算凭证的基本规定” wants them."""

_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_PLACES = ("", "拾", "佰", "仟")
_GROUPS = ("", "万", "亿", "万亿")


def capital_text(amount_fen: int) -> str:
    """1000 → "壹拾元整", 10005 → "壹佰元零伍分". Raises ValueError below zero and from 10^16 yuan on."""
    if type(amount_fen) is not int or not 0 <= amount_fen < 10**18:
        raise ValueError("an amount in capitals is a plain int of fen, not negative")
    yuan, cents = divmod(amount_fen, 100)
    jiao, fen = divmod(cents, 10)
    text = f"{_whole(yuan)}元" if yuan else ""
    if not cents:
        return f"{text or '零元'}整"
    if jiao:
        text += f"{_DIGITS[jiao]}角"
    elif text:
        text += _DIGITS[0]
    return text + (f"{_DIGITS[fen]}分" if fen else "整")


def _whole(yuan: int) -> str:
    """Four digits at a time. One 零 stands for any run of zeros inside the number, none for zeros before 万, 亿 and 元."""
    text, gap, groups = "", False, []
    while yuan:
        yuan, group = divmod(yuan, 10_000)
        groups.append(group)
    for power in range(len(groups) - 1, -1, -1):
        group = groups[power]
        if group:
            text += _DIGITS[0] if text and (gap or group < 1000) else ""
            text += _group(group) + _GROUPS[power]
        gap = not group
    return text


def _group(number: int) -> str:
    text, gap = "", False
    for place in range(3, -1, -1):
        digit = number // 10**place % 10
        if digit:
            text += (_DIGITS[0] if gap and text else "") + _DIGITS[digit] + _PLACES[place]
        gap = not digit
    return text
