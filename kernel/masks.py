"""What may be shown of a personal datum in lists, notices and logs; computed at write time, beside the sealed value."""

import re

_STARS = "****"
# Surnames of two characters stay whole. The blanks keep the last character of one from meeting the first of the next.
_COMPOUND = (
    "欧阳 司马 上官 诸葛 尉迟 皇甫 东方 慕容 令狐 夏侯 公孙 长孙 宇文 司徒 司空 独孤 "
    "南宫 端木 百里 东郭 西门 呼延 轩辕 钟离 闾丘 濮阳 淳于 单于 申屠 公冶 宗政 太叔 "
    "澹台 赫连 闻人 拓跋 左丘 谷梁 梁丘 公羊 公西 乐正 漆雕 壤驷 夹谷 仲孙 巫马 亓官 "
    "司寇 宰父 段干 羊舌 微生 万俟 鲜于 纳兰 第五 东野 南门 北宫 "
)
_MOBILE = re.compile(r"1[3-9]\d{9}")
# 010 and 02x have three digits, all other area codes four.
_LANDLINE = re.compile(r"(010|02\d|0[3-9]\d{2})-?(\d{7,8})(?:[-转]\d{1,6})?")
# A township's name holds no street, village, building or number; anything that does is left out rather than shown.
_NAME = "[^省市州盟县区旗镇乡街道路巷号村院楼栋室幢弄组社\\d\\sA-Za-z]"
_ADDRESS = re.compile(
    rf"(?:{_NAME}{{1,8}}(?:省|自治区))?"
    rf"(?:{_NAME}{{1,8}}(?:市|自治州|州|地区|盟))?"
    rf"(?:{_NAME}{{1,12}}(?:自治县|县|市(?!区)|(?<![小社园校厂院库片宅])区(?!街道)|旗))?"
    rf"(?:{_NAME}{{1,8}}(?:街道|镇|乡|苏木))?"
)


def mask_id_number(number: str) -> str:
    """First 3 and last 4 of 18, first 3 and last 2 of a 15-character card; the first 6 would tell too much."""
    text = number.strip().upper()
    if len(text) == 18:
        return _middle(text, 3, 4)
    if len(text) == 15:
        return _middle(text, 3, 2)
    return _middle(text, 1, 2) if len(text) >= 7 else "*" * len(text)  # passports and permits


def mask_phone(number: str) -> str:
    """Mobile 3 + 4, landline area code + last 2, any other number last 2 only."""
    text = re.sub(r"[\s()（）]", "", number)
    text = re.sub(r"^(?:\+86|0086)-?", "", text)
    mobile = text.replace("-", "")
    if _MOBILE.fullmatch(mobile):
        return _middle(mobile, 3, 4)
    if landline := _LANDLINE.fullmatch(text):
        return f"{landline[1]}-{_middle(landline[2], 0, 2)}"
    return _middle(text, 0, 2) if len(text) >= 6 else "*" * len(text)


def mask_name(name: str) -> str:
    """Surname and stars (王*, 欧阳**), first two of four or more Han characters, first letter of a Latin name."""
    text = name.strip()
    if not text:
        return ""
    if not _is_han(text[0]):
        return text[0] + "***"
    if len(text) == 1:
        return "*"
    kept = 2 if len(text) >= 4 or (len(text) > 2 and text[:2] in _COMPOUND) else 1
    return text[:kept] + "*" * min(len(text) - kept, 3)


def mask_address(address: str) -> str:
    """Down to the township (甘肃省玉门市××镇****); less when the township cannot be told from the rest."""
    text = re.sub(r"\s", "", address)
    match = _ADDRESS.match(text)
    return (match[0] if match else "") + _STARS


def mask_tail(value: str, *, keep: int = 4) -> str:
    """Four stars and the end: licence numbers, waybills."""
    text = value.strip()
    return _STARS + (text[-keep:] if len(text) > keep else "")


def _middle(text: str, head: int, tail: int) -> str:
    return text[:head] + "*" * (len(text) - head - tail) + text[len(text) - tail :]


def _is_han(character: str) -> bool:
    """Also the rare characters beyond the basic plane, and the private area where older systems put them."""
    code = ord(character)
    return (
        code == 0x3007
        or 0x3400 <= code <= 0x9FFF
        or 0xE000 <= code <= 0xF8FF
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x3FFFF
    )
