"""The 缴款码 as text: made by the region's template, checked by the region's pattern. Leading zeros stay, nothing is computed. Pure."""

import re

_PART = re.compile(r"\{(region|yy|yyyy|serial(?::([0-9]{1,2}))?)\}")


def make(template: str, *, region: str, serial: int, year: int) -> str:
    """A new code. `{serial:10}` is the running number of the year in ten digits. Raises ValueError when it does not fit."""
    if len(re.findall(r"\{serial", template)) != 1:
        raise ValueError("template 必须正好有一个 serial")
    rest = _PART.sub("", template)
    if "{" in rest or "}" in rest:
        raise ValueError("template 只能用 region、yy、yyyy、serial")

    def part(match: re.Match[str]) -> str:
        word = match[1]
        if word == "region":
            return region
        if word.startswith("yy"):
            return f"{year % 100:02d}" if word == "yy" else str(year)
        digits = str(serial).zfill(int(match[2] or 1))
        if match[2] and len(digits) > int(match[2]):
            raise ValueError("缴款码的流水号已用完")
        return digits

    return _PART.sub(part, template)
