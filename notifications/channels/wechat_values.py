"""WeChat's rules for the values of subscribe messages; one violated rule costs the whole message. Pure functions."""

import re
import unicodedata

_HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003347f"
_HAN_RUN = re.compile(f"[{_HAN}]+")
_KEY = re.compile(r"([a-z_]+?)\d{1,3}")
_DAY = r"\d{4}(?:年\d{1,2}月\d{1,2}日|-\d{1,2}-\d{1,2}|/\d{1,2}/\d{1,2}|\.\d{1,2}\.\d{1,2})"
_CLOCK = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?"
_TIME, _DATE = rf"(?:{_DAY} ?)?{_CLOCK}", rf"{_DAY}(?: ?{_CLOCK})?"
# Types whose value must fit as it is; cutting would change what it says.
_EXACT = {
    "number": re.compile(r"(?=.{1,32}$)\d+(?:\.\d+)?"),
    "letter": re.compile(r"[A-Za-z]{1,32}"),
    "symbol": re.compile(rf"[^\w\s{_HAN}]{{1,5}}"),
    "character_string": re.compile(r"[!-~](?:[ -~]{0,30}[!-~])?"),
    "time": re.compile(rf"{_TIME}(?:~{_TIME})?"),
    "date": re.compile(rf"{_DATE}(?:~{_DATE})?"),
    "amount": re.compile(r"[¥￥$€£]?\d{1,10}(?:\.\d{1,2})?元?"),
    "phone_number": re.compile(r"[0-9+\-*()]{1,17}"),
    "car_number": re.compile(rf"(?=.{{1,8}}$)[{_HAN}A-Z]?[A-Z0-9*·]+[{_HAN}]?"),
}
KINDS = frozenset(_EXACT) | {"thing", "name", "phrase"}


class UnfitValue(ValueError):
    """The value cannot be sent under this key. Names the key, never the value."""

    def __init__(self, key: str) -> None:
        super().__init__(f"value does not fit {key}")
        self.key = key


def kind_of(key: str) -> str | None:
    """`character_string04` → `character_string`; None for a key whose rules are not known."""
    found = _KEY.fullmatch(key)
    return found[1] if found and found[1] in KINDS else None


def fitted(key: str, value: str) -> str:
    """The value as WeChat takes it: texts are cut, everything else fits or raises UnfitValue."""
    kind = kind_of(key)
    text = " ".join("".join(" " if _breaks(character) else character for character in value).split())
    if kind == "thing":
        text = text if len(text) <= 20 else text[:19] + "…"
    elif kind == "phrase":
        text = _phrase(text)
    elif kind == "name":
        text = _name(text)
    elif kind is None or not _EXACT[kind].fullmatch(text):
        raise UnfitValue(key)
    if not text:
        raise UnfitValue(key)
    return text


def _phrase(text: str) -> str:
    """At most 5 Han characters and nothing else: all of them if they fit, else the first run (已提交，等待受理 → 已提交)."""
    runs = _HAN_RUN.findall(text)
    together = "".join(runs)
    return together if len(together) <= 5 else runs[0][:5]


def _name(text: str) -> str:
    """10 characters when any is Han, else 20; digits are not part of a name."""
    text = "".join(character for character in text if not character.isdigit())
    return text[: 10 if _HAN_RUN.search(text) else 20].rstrip()


def _breaks(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")
