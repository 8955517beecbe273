"""Personal names as people really have them: one normal form to store and compare, and the faults of a typed name.
No masking (kernel.masks does that).
"""

import unicodedata

_DOTS = "•・．●‧∙⋅･"  # every dot people type inside a transliterated name
MIDDLE_DOT = "·"  # U+00B7, the form registers use
_SHORTEST, _LONGEST = 2, 50


def normalise(text: str) -> str:
    """Trimmed, one kind of middle dot, half-width letters. Inner dots and inner spaces of foreign names are never
    removed.
    """
    letters = "".join(chr(ord(c) - 0xFEE0) if 0xFF21 <= ord(c) <= 0xFF5A else c for c in text.strip())
    dotted = "".join(MIDDLE_DOT if c in _DOTS else c for c in letters)
    return unicodedata.normalize("NFC", dotted)


def faults(text: str) -> tuple[str, ...]:
    """What is wrong with a name, in words for the person who typed it. Rare Han of GB 18030-2022 are letters like
    any other.
    """
    value = normalise(text)
    if not value:
        return ("请填写姓名",)
    found = []
    if not _SHORTEST <= len(value) <= _LONGEST:
        found.append(f"姓名应为 {_SHORTEST} 至 {_LONGEST} 个字")
    if any(not _allowed(c) for c in value):
        found.append("姓名只能包含汉字、字母和间隔号“·”")
    elif not any(unicodedata.category(c).startswith("L") for c in value):
        found.append("姓名里没有文字")
    return tuple(found)


def _allowed(character: str) -> bool:
    # Private-use characters are how older systems stored rare Han: keep them, a clerk will see them.
    return (
        unicodedata.category(character)[0] in "LM"
        or unicodedata.category(character) == "Co"
        or character in f"{MIDDLE_DOT} '-"
    )
