"""Region codes of 12 digits (6 county + 3 township + 3 village): padding, levels, ancestors. No table of places is
here.
"""

LENGTH = 12
_CUTS = (("province", 2), ("city", 4), ("county", 6), ("town", 9), ("village", 12))
LEVEL_LABELS = {"province": "省级", "city": "市级", "county": "县级", "town": "乡镇（街道）", "village": "村（社区）"}


def padded(code: str) -> str:
    """A 2, 4, 6, 9 or 12-digit code as the 12 digits we store. Raises ValueError for anything else."""
    if not (code.isascii() and code.isdigit() and code.strip("0")) or len(code) not in (2, 4, 6, 9, 12):
        raise ValueError("a region code has 2, 4, 6, 9 or 12 digits")
    return code.ljust(LENGTH, "0")


def level(code: str) -> str:
    """province, city, county, town or village: the longest part that is not all zeros."""
    for index, (name, end) in enumerate(reversed(_CUTS)):
        start = _CUTS[len(_CUTS) - 2 - index][1] if end > 2 else 0
        if code[start:end].strip("0"):
            return name
    raise ValueError("an empty region code")


def significant(code: str) -> str:
    """The code without the zeros below its level: 620981000000 → 620981."""
    return code[: dict(_CUTS)[level(code)]]


def prefixes(code: str) -> tuple[str, ...]:
    """The code itself and everything above it, without zeros: what an offer or a zone may name."""
    own = significant(code)
    return tuple(own[:end] for _, end in _CUTS if end <= len(own))


def parent(code: str) -> str | None:
    """The padded code one level up; None for a province."""
    above = prefixes(code)[:-1]
    return padded(above[-1]) if above else None
