"""The daily statement: fetched page by page into a file, read line by line by the profile's columns, believed only when it adds up."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path

from kernel import clock
from payments.gateways.statement_port import (
    Fetched,
    LineKind,
    NotFetched,
    StatementInvalid,
    StatementKind,
    StatementLine,
)
from payments.gateways.unified_pay import wording
from payments.gateways.unified_pay.client import Reply, UnifiedPayClient
from payments.gateways.unified_pay.profile import StatementLayout
from payments.money import CURRENCY, fen_from_yuan

_SOON_SECONDS, _LATER_SECONDS = 300, 1800
_MOST_PAGES = 10_000


class UnifiedStatements:
    """What the platform collected and gave back on one day, the counter included."""

    kinds: tuple[StatementKind, ...] = (StatementKind.TRADE,)
    settles_in_sums = False

    def __init__(self, client: UnifiedPayClient) -> None:
        layout = client.profile.statement
        if layout is None:
            raise ValueError("the profile has no statement")
        self._client, self._layout = client, layout
        self.ready_hour = layout.ready_hour

    async def fetch(self, *, day: date, kind: StatementKind, into: Path) -> Fetched | NotFetched:
        """Every page in its order into one file; the last line must be the totals."""
        path, digest, size = into / f"{kind}.txt", hashlib.sha256(), 0
        page, pages = 1, 1
        with path.open("wb") as file:
            while page <= pages:
                reply = await self._client.call("statement", {"day": f"{day:%Y%m%d}", "page": str(page)})
                told = _count(reply)
                if not self._client.profile.means(reply.result, "done") or told is None or (page > 1 and told != pages):
                    return self._missing(reply, first=page == 1)
                content = ("\n" if page > 1 else "").encode() + reply.get("content").encode()
                file.write(content)
                digest.update(content)
                size += len(content)
                page, pages = page + 1, told
        proof = "mac" if self._client.profile.proof.kind != "none" else "https"
        return Fetched(path=path, sha256=digest.hexdigest(), proof=proof, bytes=size)

    def lines(self, path: Path, kind: StatementKind) -> Iterator[StatementLine]:
        """The lines of a fetched file; raises StatementInvalid."""
        return _read(self._client, self._layout, path)

    def _missing(self, reply: Reply, *, first: bool) -> NotFetched:
        profile = self._client.profile
        if first and profile.means(reply.result, "no_statement"):
            return NotFetched(reason="none", again_seconds=None)
        if profile.means(reply.result, "not_ready"):
            return NotFetched(reason="creating", again_seconds=_LATER_SECONDS)
        return NotFetched(reason="unknown", again_seconds=_SOON_SECONDS)


def _count(reply: Reply) -> int | None:
    text = reply.get("page_count")
    found = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return found if 0 < found <= _MOST_PAGES else None


def _read(client: UnifiedPayClient, layout: StatementLayout, path: Path) -> Iterator[StatementLine]:
    total: list[str] | None = None
    count = paid = back = 0
    with path.open(encoding="utf-8", newline="\n") as file:
        header = next(file, "").rstrip("\r\n").split(layout.separator)
        places = _places(layout, header)
        for number, line in enumerate(file, start=1):
            parts = line.rstrip("\r\n").split(layout.separator)
            if total is not None:
                raise StatementInvalid("lines after the totals")
            if parts[0] == layout.total_word:
                total = parts
                continue
            if len(parts) != len(header):
                raise StatementInvalid(f"line {number} has another number of columns")
            found = _line(client, layout, {name: parts[at].strip() for name, at in places.items()}, number)
            count += 1
            paid += found.amount_fen if found.kind is LineKind.PAYMENT else 0
            back += found.amount_fen if found.kind is LineKind.REFUND else 0
            yield found
    if total is None:
        raise StatementInvalid("the totals are missing: the file is cut")
    if _totals(client, total) != (count, paid, back):
        raise StatementInvalid("the totals differ from the lines")


def _places(layout: StatementLayout, header: list[str]) -> dict[str, int]:
    """Columns are found by their names, so that a new one in between does no harm."""
    missing = [name for name in layout.columns.values() if name not in header]
    if missing:
        raise StatementInvalid(f"columns are missing: {'、'.join(missing)}")
    return {ours: header.index(theirs) for ours, theirs in layout.columns.items()}


def _line(client: UnifiedPayClient, layout: StatementLayout, got: Mapping[str, str], number: int) -> StatementLine:
    kinds = {layout.payment_word: LineKind.PAYMENT, layout.refund_word: LineKind.REFUND}
    kind = kinds.get(got["kind"], LineKind.OTHER)
    amount = wording.amount_fen(client.profile, got["amount"])
    try:
        at = datetime.strptime(got["at"], layout.time).replace(tzinfo=clock.local(clock.now()).tzinfo)
    except ValueError:
        raise StatementInvalid(f"line {number}: not a time") from None
    if amount is None or not got["txn"]:
        raise StatementInvalid(f"line {number}: no amount or no number")
    refund = kind is LineKind.REFUND
    return StatementLine(
        line_no=number,
        kind=kind,
        amount_fen=amount,
        currency=CURRENCY,
        happened_at=at,
        payment_no=got["order_no"] or got["pay_code"] or None,
        channel_txn_id=got["txn"],
        refund_no=(got["refund_no"] or None) if refund else None,
        channel_refund_id=(got["refund_id"] or None) if refund else None,
        status=got["kind"],
    )


def _totals(client: UnifiedPayClient, parts: list[str]) -> tuple[int, int, int]:
    try:
        _, count, paid, back = parts
        read = fen_from_yuan if client.profile.amount.unit == "yuan" else int
        return int(count), read(paid), read(back)
    except ValueError:
        raise StatementInvalid("the totals cannot be read") from None
