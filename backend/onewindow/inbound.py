"""News from the platform: verified on the raw bytes, stored in the inbox, acknowledged, then kept as events of a project.

Applying them to cases is `backend.onewindow.progress`; asking for what is missing is `backend.onewindow.pulling`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import structlog

from backend.onewindow import signing
from backend.onewindow.models import Event
from backend.onewindow.ports import runtime
from backend.onewindow.states import EventState
from kernel import clock, crypto, db, ids, inbox, outbox
from kernel.outbox import Delivery

log = structlog.get_logger(__name__)

PARTNER = "onewindow"
VERB = "event.push"
APPLY_TOPIC = "onewindow.apply"
_KEPT_HEADERS = ("gjzwfwpt_rid", "gjzwfwpt_sid", "gjzwfwpt_rtime", "x-ycsl-nonce", "x-ycsl-digest")
_MAX_EVENTS = 500
_MAX_SEQ = 2**31 - 1
# The contract's form first, then the three ways the national standard prints a moment.
_MOMENTS = ("%Y-%m-%d %H:%M:%S", "%Y%m%d%H%M%S", "%Y%m%dT%H%M%S", "%Y%m%d%H:%M:%S")
_YEARS = re.compile(r"(?:19|20)[0-9]{2}")


class WireEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event as understood from the wire; `payload` has lower-case keys."""

    project_no: str
    seq: int
    type: str
    at: str
    payload: dict[str, Any]


async def receive(*, verb: str, headers: Mapping[str, str], raw: bytes) -> tuple[int, bytes]:
    """The platform's call: HTTP status and body of the answer. Every business answer is HTTP 200, also a refusal.

    An item we can read is acknowledged as soon as the inbox holds it; one we cannot read is left out of `acked` and
    does not hinder the others.
    """
    if verb != VERB:
        return 200, _answer(302, "没有此接口", {})
    settings = runtime().settings
    known = {name.lower(): value for name, value in headers.items()}
    try:
        trusted = signing.verify(
            profile=settings.profile,
            rid=settings.platform_rid,
            secret=settings.platform_secret,
            verb=verb,
            headers=known,
            body=raw,
            now_ms=clock.now_ms(),
        )
    except signing.Untrusted as refused:
        log.warning("onewindow.untrusted", reason=refused.reason)
        return 200, _answer(301, "签名验证失败", {})
    events = parse(raw)
    if events is None:
        return 200, _answer(300, "报文格式不正确", {"errors": [{"field": "events", "rule": "应为事件列表"}]})
    async with db.transaction():
        if not await inbox.remember_nonce(PARTNER, trusted.nonce):
            log.warning("onewindow.untrusted", reason="replay")
            return 200, _answer(301, "随机串重复", {})
        kept = {name: known[name] for name in _KEPT_HEADERS}
        fresh = await inbox.receive(
            partner=PARTNER, external_id=trusted.digest, headers=kept, body=raw, lane=_lane_of(events)
        )
    acked = [{"projectNo": event.project_no, "seq": event.seq} for event in events]
    return 200, _answer(200, "请求成功", {"acked": acked, "duplicate": not fresh})


def _lane_of(events: Sequence[WireEvent]) -> str | None:
    """Messages about one project are opened in the order in which they came: of two tellings the first one stands."""
    projects = {event.project_no for event in events}
    return f"onewindow:inbox:{projects.pop()}" if len(projects) == 1 else None


def _answer(code: int, message: str, data: dict[str, Any]) -> bytes:
    if runtime().settings.profile == "gjzwfwpt":
        data = signing.lower_keys(data)
    return msgspec.json.encode({"code": code, "message": message, "data": data, "requestId": ids.public_id()})


def parse(raw: bytes) -> list[WireEvent] | None:
    """The readable events of a message; None when it is no event message at all."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    entries = signing.lower_keys(found).get("events") if isinstance(found, dict) else None
    return events_of(entries) if isinstance(entries, list) else None


def events_of(entries: Sequence[Any]) -> list[WireEvent]:
    """The readable ones of a list of items with lower-case keys."""
    events = [event for event in map(_event, entries[:_MAX_EVENTS]) if event is not None]
    if len(events) < len(entries):
        log.error("onewindow.unreadable_events", count=len(entries) - len(events))
    return events


def _event(entry: Any) -> WireEvent | None:
    if not isinstance(entry, dict):
        return None
    number, seq, kind = entry.get("projectno"), entry.get("seq"), entry.get("type")
    at, payload = entry.get("at"), entry.get("payload")
    if not isinstance(number, str) or not 0 < len(number) <= 50 or "\x00" in number:
        return None
    if not isinstance(seq, int) or isinstance(seq, bool) or not 1 <= seq <= _MAX_SEQ:
        return None
    if not isinstance(kind, str) or not re.fullmatch(r"[A-Z_]{1,32}", kind):
        return None
    return WireEvent(
        project_no=number,
        seq=seq,
        type=kind,
        at=at if isinstance(at, str) else "",
        payload=payload if isinstance(payload, dict) else {},
    )


def moment(text: Any) -> datetime | None:
    """A business time of the platform (Beijing, no offset); None when it cannot be read: it is never guessed."""
    if not isinstance(text, str) or not _YEARS.match(text):
        return None
    for shape in _MOMENTS:
        try:
            naive = datetime.strptime(text.strip(), shape)  # noqa: DTZ007 - the offset is added in the next line
        except ValueError:
            continue
        return naive.replace(tzinfo=clock.SHANGHAI)
    return None


async def handle(delivery: Delivery) -> None:
    """Topic "inbox.onewindow": the message's events become rows, and their projects are worked."""
    message = await inbox.load(delivery.payload["inbox_id"])
    events = parse(message.body) or []
    async with db.transaction():
        fresh = await store(events, pulled=False)
        await inbox.mark_handled(message.id, f"{len(fresh)} new of {len(events)}")
        await delivery.finish()


async def store(events: Sequence[WireEvent], *, pulled: bool) -> list[WireEvent]:
    """Keep every event once and promise to apply it; joins the caller's transaction. Returns the new ones."""
    fresh: list[WireEvent] = []
    # In one order for everybody: a push and a pull that bring the same events must not wait for each other in a ring.
    for event in sorted(events, key=lambda one: (one.project_no, one.seq)):
        if await _insert(event, pulled=pulled):
            fresh.append(event)
            await outbox.publish(
                APPLY_TOPIC,
                key=f"{APPLY_TOPIC}:{event.project_no}:{event.seq}",
                payload={"project_no": event.project_no},
                # One worker at a time per project: others would only fetch the same result file again.
                lane=f"onewindow:project:{event.project_no}",
            )
    return fresh


async def _insert(event: WireEvent, *, pulled: bool) -> bool:
    # Sorted keys: the same payload written in another order is still the same payload.
    payload = msgspec.json.encode(event.payload, order="sorted")
    sha256, at = signing.digest(payload), moment(event.at)
    rows = await db.fetch(
        "INSERT INTO onewindow_event (project_no, seq, type, at, payload_sealed, payload_sha256, state, note, disputed, pulled, "
        "created_at) VALUES (?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?) ON CONFLICT (project_no, seq) DO NOTHING RETURNING id",
        event.project_no,
        event.seq,
        event.type,
        None if at is None else db.at(at),
        crypto.seal(payload, context=_context(event.project_no, event.seq)),
        sha256,
        EventState.WAITING.value,
        False,
        pulled,
        db.at(clock.now()),
    )
    if rows:
        return True
    known = await Event.get(project_no=event.project_no, seq=event.seq)
    if known.payload_sha256 != sha256 or known.type != event.type:
        # The first telling stands, the contradiction is shown to a person.
        log.error("onewindow.contradicting_event", project_no=event.project_no, seq=event.seq)
        await Event.filter(id=known.id).update(disputed=True)
    return False


def payload(event: Event) -> dict[str, Any]:
    """The opened payload of a stored event, without U+0000: no text of ours may hold it, and PostgreSQL refuses it."""
    raw = crypto.unseal(event.payload_sealed, context=_context(event.project_no, event.seq))
    found: dict[str, Any] = _without_nul(msgspec.json.decode(raw)) if b"\\u0000" in raw else msgspec.json.decode(raw)
    return found


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, dict):
        return {_without_nul(key): _without_nul(entry) for key, entry in value.items()}
    return [_without_nul(entry) for entry in value] if isinstance(value, list) else value


def source_ref(event: Event) -> str:
    """The key under which a case knows this event."""
    return f"{event.project_no}:{event.seq}"


async def payload_of(ref: str) -> dict[str, Any] | None:
    """The payload behind a `source_ref`; None when it is not one of ours."""
    project_no, _, seq = ref.rpartition(":")
    event = await Event.get_or_none(project_no=project_no, seq=int(seq)) if seq.isdigit() else None
    return payload(event) if event else None


def _context(project_no: str, seq: int) -> str:
    return f"onewindow_event.payload:{project_no}:{seq}"
