"""Daily statements of WeChat Pay: asking for a file, downloading it, and proving its bytes. What is in it: `statement_file`."""

import asyncio
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from datetime import date
from http import HTTPStatus
from pathlib import Path

import structlog

from kernel.http import Answer
from payments.gateways.statement_port import Fetched, NotFetched, StatementKind, StatementLine
from payments.gateways.wechat_pay import statement_file
from payments.gateways.wechat_pay.client import Merchant, Proof, Reply, WeChatPayClient

log = structlog.get_logger(__name__)

_TARGETS = {
    StatementKind.TRADE: "/v3/bill/tradebill?bill_date={day}&bill_type=ALL&tar_type=GZIP",
    StatementKind.FUND: "/v3/bill/fundflowbill?bill_date={day}&account_type=BASIC&tar_type=GZIP",
}
_SHA1 = re.compile(r"[0-9a-fA-F]{40}")
_CREATING_SECONDS, _SOON_SECONDS, _LATER_SECONDS = 1800, 300, 3600
# A million lines are about 400 MB unpacked and a tenth of it packed; more than ten times that is no statement of a county.
_MOST_PACKED_BYTES, _MOST_BYTES = 1 << 30, 8 << 30
_PIECE = 1 << 20


class WeChatStatements:
    """Trade bill and fund flow of one merchant."""

    kinds: tuple[StatementKind, ...] = (StatementKind.TRADE, StatementKind.FUND)
    ready_hour = 10
    settles_in_sums = False

    def __init__(self, *, client: WeChatPayClient, merchant: Merchant) -> None:
        self._client, self._merchant = client, merchant

    async def fetch(self, *, day: date, kind: StatementKind, into: Path) -> Fetched | NotFetched:
        """Asks for the file, downloads it, and compares the hash from the signed answer with the unpacked bytes."""
        reply = await self._client.call("GET", _TARGETS[kind].format(day=day.isoformat()), name="bill")
        if reply.status != HTTPStatus.OK or not reply.proven:
            return _no_offer(reply)
        url, promised = reply.data.get("download_url"), reply.data.get("hash_value")
        if reply.data.get("hash_type") != "SHA1" or not isinstance(promised, str) or not _SHA1.fullmatch(promised):
            return _unknown("no usable hash", _LATER_SECONDS)
        path = into / f"{kind}.gz"
        path.unlink(missing_ok=True)
        try:
            answer = await self._client.download(str(url), into=path, max_bytes=_MOST_PACKED_BYTES)
        except ValueError:
            return _unknown("a foreign download address", _LATER_SECONDS)
        if not isinstance(answer, Answer):
            return _unknown(answer.reason, _SOON_SECONDS)
        if answer.status != HTTPStatus.OK:  # the address lives five minutes: the next try asks for a new one
            return _unknown(f"download {answer.status}", _SOON_SECONDS)
        return await asyncio.to_thread(_proven, path, promised.lower())

    def lines(self, path: Path, kind: StatementKind) -> Iterator[StatementLine]:
        """The lines of a fetched file; raises StatementInvalid."""
        reader = statement_file.trade_lines if kind is StatementKind.TRADE else statement_file.fund_lines
        return reader(path, mchid=self._merchant.mchid, app_id=self._merchant.app_id)


def _no_offer(reply: Reply) -> NotFetched:
    if reply.proof is not Proof.BAD and reply.status == HTTPStatus.BAD_REQUEST:
        # Believed without a signature too, because published answers of this kind carry none. A lie would be noticed: a day with
        # payments of ours becomes a difference, and the account's movements show money that no line explains.
        if reply.code == "NO_STATEMENT_EXIST":
            return NotFetched(reason="none", again_seconds=None)
        if reply.code == "STATEMENT_CREATING":
            return NotFetched(reason="creating", again_seconds=_CREATING_SECONDS)
    refused = HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.TOO_MANY_REQUESTS
    return _unknown(f"{reply.status} {reply.code}", _LATER_SECONDS if refused else _SOON_SECONDS)


def _unknown(why: str, again_seconds: int) -> NotFetched:
    log.warning("wechat_pay.statement", outcome="not fetched", reason=why[:80])
    return NotFetched(reason="unknown", again_seconds=again_seconds)


def _proven(path: Path, promised: str) -> Fetched | NotFetched:
    """Reads the file once: SHA1 as promised over the unpacked bytes, SHA-256 for ourselves."""
    theirs, ours, size = hashlib.sha1(usedforsecurity=False), hashlib.sha256(), 0
    try:
        with gzip.open(path, "rb") as packed:
            while piece := packed.read(_PIECE):
                size += len(piece)
                if size > _MOST_BYTES:
                    return NotFetched(reason="too-large", again_seconds=None)
                theirs.update(piece)
                ours.update(piece)
    except (OSError, EOFError, zlib.error):  # cut short or not packed at all
        return NotFetched(reason="bad-hash", again_seconds=_CREATING_SECONDS)
    if theirs.hexdigest() != promised:
        return NotFetched(reason="bad-hash", again_seconds=_CREATING_SECONDS)
    return Fetched(path=path, sha256=ours.hexdigest(), proof="sha1", bytes=size)
