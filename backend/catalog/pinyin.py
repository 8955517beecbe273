"""Pinyin initials of Chinese names, so that "ydz" finds 优待证: read from the order of GB 2312, whose first level is sorted by pinyin.

The second level is sorted by radical; the few of its characters that occur in item names stand in a table. A character known to
neither is reported at import, where the item can state its initials itself. This is for searching, never for showing.
"""

_STARTS = "啊芭擦搭蛾发噶哈击喀垃妈拿哦啪期然撒塌挖昔压匝"  # the first character of each initial, in order
_INITIALS = "abcdefghjklmnopqrstwxyz"
_BOUNDS = tuple(int.from_bytes(c.encode("gb2312"), "big") for c in _STARTS)
_FIRST_LEVEL_END = 0xD7F9
# Second-level characters, and first-level ones whose usual reading in item names is another than the sorted one.
_OTHERS = {"赡": "s", "徙": "x", "孀": "s", "烬": "j", "殡": "b", "泔": "g", "诤": "z", "冢": "z", "隍": "h", "瑕": "x"}


def initial(character: str) -> str | None:
    """One letter for a Han character, the character itself for ASCII letters and digits, "" for punctuation, None
    if unknown.
    """
    if character in _OTHERS:
        return _OTHERS[character]
    if character.isascii():
        return character.lower() if character.isalnum() else ""
    if not "\u3400" <= character <= "\U0003ffff" or "\uff00" <= character <= "\uffef":
        return ""
    try:
        code = int.from_bytes(character.encode("gb2312"), "big")
    except UnicodeEncodeError:
        return None
    if not _BOUNDS[0] <= code <= _FIRST_LEVEL_END:
        return None
    return _INITIALS[sum(code >= bound for bound in _BOUNDS) - 1]


def initials(text: str) -> tuple[str, tuple[str, ...]]:
    """The initials of a text and the characters nobody could read."""
    letters = [(c, initial(c)) for c in text]
    return "".join(letter or "" for _, letter in letters), tuple(c for c, letter in letters if letter is None)
