"""The value rules of subscribe messages: which text fits which kind of field. Pure functions, no state."""

import re
import unicodedata

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003347f"
_DAY = (
    r"\d{4}(?:年(?:0?[1-9]|1[0-2])月(?:0?[1-9]|[12]\d|3[01])日"
    + "".join(rf"|{sign}(?:0?[1-9]|1[0-2]){sign}(?:0?[1-9]|[12]\d|3[01])" for sign in ("-", "/", r"\."))
    + ")"
)
_CLOCK = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?"
_TIME = rf"(?:{_DAY} ?)?{_CLOCK}"
_DATE = rf"{_DAY}(?: ?{_CLOCK})?"

_PATTERNS = {
    "thing": r".{1,20}",
    "number": r"(?=.{1,32}$)\d+(?:\.\d+)?",
    "letter": r"[A-Za-z]{1,32}",
    "symbol": rf"[^\w\s{_HAN}]{{1,5}}",
    "character_string": r"[!-~ ]{1,32}",
    "time": rf"{_TIME}(?:~{_TIME})?",
    "date": rf"{_DATE}(?:~{_DATE})?",
    "amount": r"[¥¥$€£₩]?\d{1,10}(?:\.\d{1,2})?元?",
    "phone_number": r"[0-9+\-*()#, ]{1,17}",
    "car_number": rf"(?=.{{1,8}}$)[{_HAN}A-Z]?[A-Z0-9·*]+[{_HAN}]?",
    "phrase": rf"[{_HAN}]{{1,5}}",
}
_COMPILED = {kind: re.compile(pattern) for kind, pattern in _PATTERNS.items()}
_KEY = re.compile(r"([a-z_]+?)\d+")


def kind_of(key: str) -> str | None:
    """`character_string04` → `character_string`; None when the key has no such shape."""
    found = _KEY.fullmatch(key)
    return found[1] if found else None


def complaint(key: str, value: object, *, allowed: tuple[str, ...] = ()) -> str | None:
    """Why WeChat would refuse the value (its own wording), or None. `allowed` is the list of an enum field."""
    name = f"data.{key}.value"
    if value is None or value == "":
        return f"{name} is emtpy"  # WeChat's own spelling
    if not isinstance(value, str) or not _fits(kind_of(key), value, allowed):
        return f"{name} invalid"
    return None


def _fits(kind: str | None, value: str, allowed: tuple[str, ...]) -> bool:
    if not value.strip() or any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in value):
        return False
    if kind == "enum":
        return value in allowed
    if kind == "name":
        return _is_name(value)
    return kind in _COMPILED and _COMPILED[kind].fullmatch(value) is not None


def _is_name(value: str) -> bool:
    """At most 10 characters with a Han character among them, else at most 20 letters and symbols; no digits."""
    if any(character.isdigit() for character in value):
        return False
    has_han = re.search(f"[{_HAN}]", value) is not None
    return len(value) <= (10 if has_han else 20)
