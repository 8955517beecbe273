"""Asking the platform for events: when one is missing, and regularly as a safety net for pushes that never came."""

import structlog

from backend.onewindow import client, inbound
from backend.onewindow.answers import Meaning
from backend.onewindow.client import PartnerError
from backend.onewindow.models import Cursor
from kernel import clock, db

log = structlog.get_logger(__name__)

CURSOR = "event.pull"
_PAGE, _MAX_PAGES = 100, 50
_ABOUT = client.About(info="event.pull")


class PullFailed(Exception):
    """The platform did not hand out its events; what came before the failure is kept."""


async def pull() -> int:
    """Read on from the cursor to the end; how many events were new. Raises PullFailed and PartnerError."""
    fresh = 0
    for _ in range(_MAX_PAGES):
        more, count = await _page()
        fresh += count
        if not more:
            break
    return fresh


async def safety_net() -> None:
    """The job: a platform that does not answer is asked again at the next slot."""
    try:
        fresh = await pull()
    except (PartnerError, PullFailed) as error:
        log.warning("onewindow.pull_failed", reason=str(error))
        return
    if fresh:
        log.info("onewindow.pulled", fresh=fresh)


async def _page() -> tuple[bool, int]:
    cursor = await Cursor.get_or_none(name=CURSOR)
    position = cursor.position if cursor else ""
    reading = await client.ask("event.pull", {"cursor": position, "limit": _PAGE}, about=_ABOUT)
    entries, following = reading.data.get("events"), reading.data.get("nextcursor")
    if reading.meaning is not Meaning.DONE or not isinstance(entries, list) or not isinstance(following, str):
        raise PullFailed(reading.code)
    events = inbound.events_of(entries)
    async with db.transaction():
        fresh = await inbound.store(events, pulled=True)
        await _move(position, following[:200])
    await _acknowledge(fresh)
    return reading.data.get("more") is True and following != position, len(fresh)


async def _move(before: str, after: str) -> None:
    """Only from where we read: of two workers that read the same page one moves the cursor."""
    now = db.at(clock.now())
    await db.execute(
        "INSERT INTO onewindow_cursor (name, position, moved_at) VALUES (?, '', ?) ON CONFLICT (name) DO NOTHING",
        CURSOR,
        now,
    )
    await db.execute(
        "UPDATE onewindow_cursor SET position = ?, moved_at = ? WHERE name = ? AND position = ?",
        after,
        now,
        CURSOR,
        before,
    )


async def _acknowledge(events: list[inbound.WireEvent]) -> None:
    """Tell the platform that it need not push these; a lost acknowledgement only costs a duplicate."""
    if not events:
        return
    items = [{"projectNo": event.project_no, "seq": event.seq} for event in events]
    try:
        await client.ask("event.ack", {"items": items}, about=client.About(info=f"event.ack {len(items)}"))
    except PartnerError as error:
        log.info("onewindow.ack_failed", reason=error.reason)
