"""18-character personal numbers (GB 11643 and the cards that share its check): normalising, naming every fault,
reading birth and sex. No storage.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from kernel import clock

# ISO 7064 MOD 11-2 as GB 11643 prints it: one weight per digit, and the check character by remainder.
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_CHARACTERS = "10X98765432"
LENGTH = 18
_FIRST_GENERATION_LENGTH = 15
_OLDEST_YEARS = 130  # nobody on record is older; a birth date before that is a typing mistake (our rule)


class IdType(StrEnum):
    """Kinds of 18-character number, told apart by their area part."""

    RESIDENT_ID = "resident_id"  # 居民身份证
    HMT_PERMIT = "hmt_residence_permit"  # 港澳台居民居住证: area 81, 82 or 83
    FOREIGN_PERMANENT = "foreign_permanent_id"  # 外国人永久居留身份证 (new card, begins with 9)


ID_TYPE_LABELS = {
    IdType.RESIDENT_ID: "居民身份证",
    IdType.HMT_PERMIT: "港澳台居民居住证",
    IdType.FOREIGN_PERMANENT: "外国人永久居留身份证",
}


@dataclass(frozen=True)
class IdNumber:
    """A number without faults. Birth date and sex are derived: show them as derived, never let them overwrite a
    stated value.
    """

    value: str
    id_type: IdType
    born_on: date
    sex: str  # "male" | "female"


def normalise(text: str) -> str:
    """The one form in which a number is stored: trimmed, half-width, upper-case X, no inner spaces."""
    half_width = "".join(chr(ord(c) - 0xFEE0) if 0xFF01 <= ord(c) <= 0xFF5E else c for c in text)
    return "".join(half_width.split()).upper()


def check_character(first_seventeen: str) -> str:
    """The 18th character that belongs to 17 digits."""
    total = sum(int(digit) * weight for digit, weight in zip(first_seventeen, _WEIGHTS, strict=True))
    return _CHECK_CHARACTERS[total % 11]


def faults(text: str) -> tuple[str, ...]:
    """Everything that is wrong with a number, in words for the person who typed it; empty when it is right.

    An unknown area code is no fault: codes are retired and people keep their number.
    """
    value = normalise(text)
    if not value:
        return ("请填写身份证号码",)
    if len(value) == _FIRST_GENERATION_LENGTH and value.isascii() and value.isdigit():
        return ("15 位是第一代身份证的号码，已停止使用，请填写现在使用的 18 位号码",)
    if len(value) != LENGTH:
        return (f"身份证号码应为 18 位，您填写了 {len(value)} 位",)
    if not (value[:17].isascii() and value[:17].isdigit()) or value[17] not in "0123456789X":
        return ("身份证号码前 17 位只能是数字，最后一位只能是数字或 X",)
    found = list(_birth_faults(value[6:14]))
    if check_character(value[:17]) != value[17]:
        found.append("身份证号码最后一位与前面的数字对不上，请对照证件逐位核对")
    return tuple(found)


def parse(text: str) -> IdNumber:
    """The number in parts; raises ValueError without echoing the input when it has a fault."""
    value = normalise(text)
    if faults(value):
        raise ValueError("not a valid 18-character identity number")
    born = _calendar_date(value[6:14])
    if born is None:  # unreachable after faults(); keeps the type honest
        raise ValueError("not a calendar date")
    return IdNumber(value, _id_type(value), born, "male" if int(value[16]) % 2 else "female")


def age_on(born_on: date, day: date) -> int:
    """Full years of age on a day."""
    return day.year - born_on.year - ((day.month, day.day) < (born_on.month, born_on.day))


def _id_type(value: str) -> IdType:
    if value[0] == "9":
        return IdType.FOREIGN_PERMANENT
    return IdType.HMT_PERMIT if value[:2] in ("81", "82", "83") else IdType.RESIDENT_ID


def _calendar_date(digits: str) -> date | None:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None


def _birth_faults(digits: str) -> tuple[str, ...]:
    born = _calendar_date(digits)
    if born is None:
        return (f"号码中的出生日期 {digits[:4]} 年 {digits[4:6]} 月 {digits[6:8]} 日不存在",)
    today = clock.today()
    if born > today:
        return ("号码中的出生日期在今天之后",)
    if age_on(born, today) > _OLDEST_YEARS:
        return (f"号码中的出生年份 {born.year} 过早，请核对第 7 至 10 位",)
    return ()
