"""Unified social credit codes (统一社会信用代码, GB 32100) with the organisation code inside (GB 11714)."""

from dataclasses import dataclass

# The 31 characters of GB 32100: no I, O, Z, S, V, because they are misread.
_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_ORGANISATION_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
LENGTH = 18


@dataclass(frozen=True)
class Verdict:
    """What a check found: `faults` refuse the code, `warnings` ask a clerk to look."""

    faults: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def normalise(text: str) -> str:
    """Trimmed and upper case. The letter O is never turned into a zero silently: the person is asked."""
    return "".join(text.split()).upper()


def check_character(first_seventeen: str) -> str:
    """The 18th character that belongs to 17 characters of the alphabet."""
    total = sum(_ALPHABET.index(c) * weight for c, weight in zip(first_seventeen, _WEIGHTS, strict=True))
    return _ALPHABET[(31 - total % 31) % 31]


def organisation_check(first_eight: str) -> str:
    """The check character of the 9-character organisation code (GB 11714)."""
    total = sum(_ORGANISATION_ALPHABET.index(c) * w for c, w in zip(first_eight, _ORGANISATION_WEIGHTS, strict=True))
    rest = 11 - total % 11
    return {10: "X", 11: "0"}.get(rest, str(rest))


def check(text: str) -> Verdict:
    """Every fault of a code. A failing inner organisation code only warns: the alphabets of the two standards
    differ, so odd old codes exist.
    """
    value = normalise(text)
    if not value:
        return Verdict(("请填写统一社会信用代码",))
    if len(value) != LENGTH:
        return Verdict((f"统一社会信用代码应为 18 位，您填写了 {len(value)} 位",))
    strange = sorted({c for c in value if c not in _ALPHABET})
    if strange:
        hint = "（字母 O 请改为数字 0，字母 I 请改为数字 1）" if set(strange) & {"O", "I"} else ""
        return Verdict((f"统一社会信用代码不会出现 {'、'.join(strange)}{hint}",))
    if not value[2:8].isdigit():
        return Verdict(("统一社会信用代码第 3 至 8 位是行政区划，只能是数字",))
    if check_character(value[:17]) != value[17]:
        return Verdict(("统一社会信用代码最后一位校验不符，请对照执照逐位核对",))
    inner = value[8:17]
    if organisation_check(inner[:8]) != inner[8]:
        return Verdict((), ("第 9 至 17 位组织机构代码的校验不符，请窗口人员核对执照原件",))
    return Verdict(())
