"""Papers that a stranger may verify: a code is given out with the first print, and the slice of the paper says how it stands now.

A new kind of paper is one entry in the table that wiring hands to `configure`: its name, and who tells about a number.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec

from backend.papers.models import Paper
from backend.papers.settings import PapersSettings
from kernel import clock, db, ids
from kernel.problems import NotFound


class PaperView(msgspec.Struct, frozen=True, kw_only=True):
    """What a stranger may know of a paper: masks only. `amount_fen` and `returned_fen` are fen, None where no money is named."""

    kind: str
    kind_label: str
    issuer: str
    title: str
    holder_mask: str
    issued_at: datetime
    status: str
    status_label: str
    amount_fen: int | None = None
    returned_fen: int | None = None


Teller = Callable[[str], Awaitable[PaperView | None]]

_settings = PapersSettings()
_tellers: Mapping[str, Teller] = {}


def configure(settings: PapersSettings, tellers: Mapping[str, Teller]) -> None:
    """Takes settings and the kinds of paper into use; called once by the wiring of each process."""
    global _settings, _tellers
    _settings, _tellers = settings, dict(tellers)


async def code_of(*, kind: str, number: str) -> str:
    """The code of a paper: 128 random bits, made when it is first printed, the same ever after. The caller has checked who asks."""
    if kind not in _tellers:
        raise RuntimeError(f"nobody tells about papers of kind {kind}")
    known = await Paper.get_or_none(kind=kind, number=number)
    if known is None:
        # Two prints at once: the second finds the code of the first.
        await db.execute(
            "INSERT INTO papers_paper (code, kind, number, created_at) VALUES (?, ?, ?, ?) ON CONFLICT (kind, number) DO NOTHING",
            ids.number(), kind, number, db.at(clock.now()),
        )  # fmt: skip
        known = await Paper.get(kind=kind, number=number)
    return known.code


def address_of(code: str) -> str:
    """What the QR code of a paper says; "" when no public address is configured."""
    return _settings.address(code)


async def verify(*, code: str) -> PaperView:
    """How a paper stands now. Raises NotFound: the same answer for every code that is no paper's."""
    paper = await Paper.get_or_none(code=code)
    teller = _tellers.get(paper.kind) if paper is not None else None
    told = await teller(paper.number) if paper is not None and teller is not None else None
    if told is None:
        raise NotFound("没有这份凭证，请核对核验码")
    return told
