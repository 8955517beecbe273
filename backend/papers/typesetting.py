"""Typesets papers as PDF: our templates, our font, data as data. The same content gives the same bytes, in a thread of its own."""

import asyncio
import hashlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import segno

from backend.papers import glyphs

_FOLDER = Path(__file__).parent
_MOST_KEPT = 128
# One at a time: papers are rare, and a crowd that prints must leave the other core to everything else.
_press = ThreadPoolExecutor(1, thread_name_prefix="papers")
_kept: OrderedDict[str, bytes] = OrderedDict()


async def pdf(template: str, content: dict[str, Any], *, qr: str = "") -> bytes:
    """The paper as one PDF; `qr` is what its QR code says, if it has one. Every text may hold anything: what the font lacks
    is printed as 〓.
    """
    data = msgspec.json.encode(glyphs.printable(content), order="deterministic")
    key = hashlib.sha256(b"\0".join((template.encode(), qr.encode(), data))).hexdigest()
    known = _kept.get(key)
    if known is None:
        known = await asyncio.get_running_loop().run_in_executor(_press, _compile, template, data, qr)
        _kept[key] = known
        if len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return known


def forget_kept() -> None:
    """Empties the process's cache; only for tests."""
    _kept.clear()


def _compile(template: str, data: bytes, qr: str) -> bytes:
    inputs = {"content": data.decode(), "qr": _qr_svg(qr) if qr else ""}
    return bytes(_compiler(template).compile(format="pdf", sys_inputs=inputs))


def _qr_svg(text: str) -> str:
    """With its quiet zone; never a Micro QR, which phones cannot read."""
    return str(segno.make_qr(text, error="m").svg_inline(border=4, omitsize=True))


@lru_cache(maxsize=16)
def _compiler(template: str) -> Any:
    """Made with the first paper: reading the font takes longer than setting a page."""
    import typst

    return typst.Compiler(
        _FOLDER / "templates" / f"{template}.typ",
        root=_FOLDER,
        font_paths=[_FOLDER / "fonts"],
        ignore_system_fonts=True,
    )
