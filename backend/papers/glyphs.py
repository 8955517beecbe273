"""Which characters our font has, read from the font itself; anything else is printed as 〓, the mark that printers use for it."""

import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

FONT = Path(__file__).parent / "fonts" / "ZhangshangbanSong.otf"
MISSING = "〓"


def printable(value: Any) -> Any:
    """The same content with every text made printable; line breaks and other control characters become blanks."""
    if isinstance(value, str):
        return "".join(map(_shown, value))
    if isinstance(value, dict):
        return {key: printable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [printable(inner) for inner in value]
    return value


def _shown(character: str) -> str:
    if ord(character) in covered():
        return character
    return " " if character.isspace() or ord(character) < 0x20 else MISSING


@lru_cache(maxsize=1)
def covered() -> frozenset[int]:
    """Code points with a glyph of their own (OpenType `cmap`, format 12)."""
    font = FONT.read_bytes()
    (tables,) = struct.unpack_from(">H", font, 4)
    entries = [struct.unpack_from(">4sIII", font, 12 + 16 * number) for number in range(tables)]
    start = next(offset for tag, _, offset, _ in entries if tag == b"cmap")
    (count,) = struct.unpack_from(">H", font, start + 2)
    for number in range(count):
        (offset,) = struct.unpack_from(">I", font, start + 8 + 8 * number)
        found, _, _, _, groups = struct.unpack_from(">HHIII", font, start + offset)
        if found == 12:
            runs = struct.iter_unpack(">III", font[start + offset + 16 : start + offset + 16 + 12 * groups])
            return frozenset(point for first, last, _ in runs for point in range(first, last + 1))
    raise RuntimeError("the font has no cmap of format 12")
