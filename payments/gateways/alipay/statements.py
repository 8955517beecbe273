"""Daily statements of Alipay: asking for the address, downloading within its 30 seconds, taking the file out of its ZIP safely.

There is no hash of the file: the address comes from a signed answer, the way is https, and the file must add up. What is in it:
`statement_file`.
"""

import asyncio
import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from http import HTTPStatus
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import structlog

from kernel.http import NoAnswer, NotSent, Partner
from payments.gateways.alipay import errors, requests, statement_file
from payments.gateways.alipay.answers import Reply
from payments.gateways.alipay.client import AlipayClient
from payments.gateways.alipay.errors import Verdict
from payments.gateways.statement_port import Fetched, NotFetched, StatementInvalid, StatementKind, StatementLine

log = structlog.get_logger(__name__)

_CREATING_SECONDS, _SOON_SECONDS, _LATER_SECONDS = 1800, 300, 3600
_MOST_PACKED_BYTES, _MOST_BYTES, _MOST_ENTRIES = 1 << 30, 8 << 30, 16
_NONE = frozenset({"NO_BILL_DATA", "BILL_DATE_BEFORE_REGISTRATION"})
_UTF8_NAMES = 0x800


class AlipayStatements:
    """The trade bill of one merchant. Its layout is on no official page: whatever is not understood refuses the file."""

    kinds: tuple[StatementKind, ...] = (StatementKind.TRADE,)
    ready_hour = 9
    settles_in_sums = False

    def __init__(self, *, client: AlipayClient, hosts: Sequence[str]) -> None:
        self._client = client
        own = urlsplit(client.base_url)
        # The gateway's own origin belongs to it: the sandbox serves both from one port.
        self._origins = {f"{own.scheme}://{own.netloc}", *(f"https://{host}" for host in hosts)}
        self._partners: dict[str, Partner] = {}

    async def fetch(self, *, day: date, kind: StatementKind, into: Path) -> Fetched | NotFetched:
        """Asks for an address and downloads at once; a refused download asks for one new address, because each lives 30 s."""
        path = into / f"{kind}.zip"
        content = requests.content(
            requests.BILL_URL, {"bill_type": "trade", "bill_date": day.isoformat(), "secure": "true"}
        )
        for _ in range(2):
            reply = await self._client.call(requests.BILL_URL, content)
            if errors.of_query(reply) is not Verdict.DONE:
                return _no_offer(reply)
            status = await self._download(reply.data.get("bill_download_url"), path)
            if status == HTTPStatus.OK:
                return await asyncio.to_thread(_looked_at, path)
            if status is None:
                break
        return _unknown("no download", _SOON_SECONDS)

    def lines(self, path: Path, kind: StatementKind) -> Iterator[StatementLine]:
        """The lines of a fetched file; raises StatementInvalid."""
        if kind not in self.kinds:
            raise StatementInvalid("a kind that is not read here")
        with _opened(path) as file:
            yield from statement_file.lines(file, seller_id=self._client.application.seller_id)

    async def _download(self, url: object, path: Path) -> int | None:
        """The status of the answer, or None when asking again would not help now."""
        try:
            parts = urlsplit(url if isinstance(url, str) else "")
        except ValueError:
            parts = urlsplit("")
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._origins:
            log.error("alipay.statement", outcome="a foreign download address")
            return None
        partner = self._partners.setdefault(origin, Partner("alipay-bills", origin, connect_seconds=3.0))
        path.unlink(missing_ok=True)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        try:
            answer = await partner.download(target, into=path, max_bytes=_MOST_PACKED_BYTES)
        except (NotSent, NoAnswer, ValueError):
            return None
        return answer.status


def _no_offer(reply: Reply) -> NotFetched:
    why = errors.core(reply)
    if reply.proven and why in _NONE:
        return NotFetched(reason="none", again_seconds=None)
    if reply.proven and why == "BILL_NOT_EXIST":
        return NotFetched(reason="creating", again_seconds=_CREATING_SECONDS)
    errors.alarm(reply, requests.BILL_URL, "")
    refused = why in ("TYPE_NOT_SUPPORTED", "INVAILID_ARGUMENTS", "INVALID_ARGUMENTS")
    return _unknown(errors.why(reply), _LATER_SECONDS if refused else _SOON_SECONDS)


def _unknown(why: str, again_seconds: int) -> NotFetched:
    log.warning("alipay.statement", outcome="not fetched", reason=why[:80])
    return NotFetched(reason="unknown", again_seconds=again_seconds)


def _looked_at(path: Path) -> Fetched | NotFetched:
    """Reads the file once for its SHA-256. The time of the export is left out: the same content has the same hash."""
    ours, size = hashlib.sha256(), 0
    try:
        with _opened(path) as file:
            for line in statement_file.raw_lines(file):
                size += len(line)
                if size > _MOST_BYTES:
                    return NotFetched(reason="too-large", again_seconds=None)
                if not statement_file.is_export_time(line):
                    ours.update(line)
    except StatementInvalid as error:
        return _unknown(str(error), _LATER_SECONDS)
    return Fetched(path=path, sha256=ours.hexdigest(), proof="https", bytes=size)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The one list of business lines in the ZIP. Names are only compared, never used as paths. Raises StatementInvalid."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > _MOST_ENTRIES:
                raise StatementInvalid("too many entries")
            names = {_name(entry): entry for entry in entries}
            if len(names) != len(entries) or any(_is_path(name) for name in names):
                raise StatementInvalid("names that no statement has")
            found = [entry for name, entry in names.items() if "业务明细" in name and "汇总" not in name]
            if len(found) != 1 or found[0].file_size > _MOST_BYTES or found[0].flag_bits & 0x1:
                raise StatementInvalid("no list of business lines")
            with archive.open(found[0]) as file:
                yield file
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise StatementInvalid(f"no sound ZIP: {type(error).__name__}") from None


def _name(entry: zipfile.ZipInfo) -> str:
    """The name as it was meant: GBK without the flag that would say so, which the library reads as cp437."""
    if entry.flag_bits & _UTF8_NAMES:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("gb18030")
    except UnicodeError:
        raise StatementInvalid("a name in no known charset") from None


def _is_path(name: str) -> bool:
    return any(sign in name for sign in ("/", "\\", "\0")) or name in (".", "..")
