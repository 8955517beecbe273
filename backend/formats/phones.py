"""Phone numbers of China: one stored form for mobiles, and what may be dialled but not texted. No number ranges,
because new ones keep appearing.
"""

import re

_MOBILE = re.compile(r"1[3-9]\d{9}")
_LANDLINE = re.compile(r"0\d{2,3}-?\d{7,8}(-\d{1,6})?")


def normalise(text: str) -> str:
    """Digits only for mobiles: spaces, dashes and the country prefix go. Landlines keep their dashes."""
    compact = "".join(text.split())
    bare = re.sub(r"^(\+86|0086)", "", compact).replace("-", "")
    return bare if _MOBILE.fullmatch(bare) else compact


def is_mobile(text: str) -> bool:
    """Whether a text is a mobile number of the mainland."""
    return _MOBILE.fullmatch(normalise(text)) is not None


def is_contact(text: str) -> bool:
    """Whether a text can be called: a mobile, or a landline with its area code."""
    return is_mobile(text) or _LANDLINE.fullmatch("".join(text.split())) is not None
