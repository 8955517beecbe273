"""Events of the platform on their way to the product: written once, pushed until acknowledged, pulled by cursor.

The order, copies, gaps and delays of pushing are switches of the partner's config; pulling always tells the truth.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.callbacks import Callback
from sandbox.control import ControlError
from sandbox.one_window_desk import rejected
from sandbox.one_window_wire import OK, Credentials, lower_keys, signed_headers
from sandbox.store import Doc, Store

if TYPE_CHECKING:
    from sandbox.partner import Sent

KIND = "event.push"
PUSH_PATH = "/api/v1/callbacks/one-window/event.push"
# Seconds before the 2nd, 3rd … push of what was not acknowledged; the last rung repeats for days.
LADDER = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0, *([600.0] * 12), *([3600.0] * 72))
EVENT_CONFIG: Doc = {
    "event_copies": 0,  # every push is followed by this many exact copies of its content
    "event_reverse": False,  # every other event is held back until its follower has gone
    "event_gap": 0,  # this many of the next events are never pushed, only pulled
    "event_delay_s": 0.0,
    "event_hold": False,  # nothing is pushed until /_control/events/flush
}
PULL_LIMIT = 100


class Events:
    """The platform's event journal and its deliveries."""

    def __init__(
        self,
        store: Store,
        *,
        config: Callable[[], Doc],
        later: Callable[[Doc, float], int],
        post: Callable[[Mapping[str, str], bytes], Awaitable["Sent"]],
        who: Credentials,
        now_ms: Callable[[], int],
    ) -> None:
        self.store = store
        self.config = config
        self.later = later
        self.post = post
        self.who = who
        self.now_ms = now_ms

    def emit(self, case: Doc, kind: str, at: str, payload: Doc) -> Doc:
        """Write the next event of a case and promise to push it; call it inside the transaction that moves the case."""
        case["seq"] += 1
        position = self.store.next_number("event")
        event = {"type": kind, "projectNo": case["projectNo"], "seq": case["seq"], "at": at, "payload": payload}
        self.store.put("event", _key(position), {"position": position, "event": event, "acked": False}, kind)
        self.store.put("event_place", _identity(case["projectNo"], case["seq"]), {"position": position})
        self.store.put("event_head", "head", {"position": position})
        self._promise(position)
        return event

    def _promise(self, position: int) -> None:
        config = self.config()
        if config["event_gap"] > 0:
            config["event_gap"] -= 1
            return
        if config["event_hold"]:
            return
        # Reversing: odd positions wait long enough for the next one to overtake them.
        wait = float(config["event_delay_s"]) + (0.4 if config["event_reverse"] and position % 2 else 0.0)
        self.later({"positions": [position]}, wait)

    async def push(self, callback: Callback) -> bool:
        """One try for a batch; True once every event of it is acknowledged (also by event.ack in between)."""
        found = self._open(callback.payload["positions"])
        if not found:
            return True
        copies = int(self.config()["event_copies"]) if callback.attempts == 0 else 0
        for _ in range(1 + copies):
            await self.send([doc["event"] for doc in found])
        return not self._open(callback.payload["positions"])

    def _open(self, positions: list[int]) -> list[Doc]:
        docs = (self.store.get("event", _key(position)) for position in positions)
        return [doc for doc in docs if doc is not None and not doc["acked"]]

    async def send(self, events: list[Doc]) -> "Sent":
        """One signed push; what the answer names as acked is settled."""
        config = self.config()
        message: Doc = {"events": events}
        if config["profile"] == "gjzwfwpt":
            message = lower_keys(message)
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        headers = signed_headers(
            profile=config["profile"], who=self.who, verb="event.push", body=body, now_ms=self.now_ms()
        )
        sent = await self.post(headers, body)
        for project_no, seq in _acked(sent.status, sent.body):
            self.acknowledge(project_no, seq)
        return sent

    def acknowledge(self, project_no: str, seq: int) -> bool:
        """Settle one event; False when there is no such event."""
        place = self.store.get("event_place", _identity(project_no, seq))
        doc = None if place is None else self.store.get("event", _key(place["position"]))
        if doc is None:
            return False
        if not doc["acked"]:
            self.store.put("event", _key(doc["position"]), {**doc, "acked": True}, "acked")
        return True

    def pull(self, data: Doc) -> Doc:
        """Verb `event.pull`: everything after the cursor, acknowledged or not, in order."""
        cursor, limit = data.get("cursor") or "", data.get("limit", PULL_LIMIT)
        if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= PULL_LIMIT:
            raise rejected("limit", f"应为 1 到 {PULL_LIMIT}")
        if not isinstance(cursor, str) or (cursor and not cursor.isdigit()):
            raise rejected("cursor", "不是本平台给出的游标")
        after = self._after(int(cursor or 0), limit + 1)
        page = after[:limit]
        next_cursor = str(page[-1]["position"]) if page else (cursor or "0")
        return {"events": [doc["event"] for doc in page], "nextCursor": next_cursor, "more": len(after) > limit}

    def _after(self, position: int, most: int) -> list[Doc]:
        """The next events behind a position; a reset leaves holes in the numbers, which are stepped over."""
        head = (self.store.get("event_head", "head") or {"position": 0})["position"]
        found: list[Doc] = []
        while position < head and len(found) < most:
            position += 1
            doc = self.store.get("event", _key(position))
            if doc is not None:
                found.append(doc)
        return found

    def ack(self, data: Doc) -> Doc:
        """Verb `event.ack`."""
        items = data.get("items")
        if not isinstance(items, list):
            raise rejected("items", "必填")
        for item in items:
            if not isinstance(item, dict) or not self.acknowledge(str(item.get("projectNo")), item.get("seq") or 0):
                raise rejected("items", "没有这个事件")
        return {}

    def flush(self, wish: Doc) -> Doc:
        """Push everything unacknowledged now: `order` asc|desc, `together` in one message or one message each."""
        positions = [doc["position"] for doc in self.store.all("event") if not doc["acked"]]
        order = wish.get("order", "asc")
        if order not in ("asc", "desc"):
            raise ControlError(400, "order 只能是 asc 或 desc")
        if order == "desc":
            positions.reverse()
        batches = [positions] if wish.get("together") else [[position] for position in positions]
        for index, batch in enumerate(batch for batch in batches if batch):
            self.later({"positions": batch}, 0.05 * index)
        return {"pushed": len(positions)}


def _key(position: int) -> str:
    return f"{position:012d}"


def _identity(project_no: str, seq: int) -> str:
    return f"{project_no}:{seq}"


def _acked(status: int, body: bytes) -> list[tuple[str, int]]:
    """What an answer acknowledges; anything that is not a proper 200 acknowledges nothing."""
    try:
        answer: Any = json.loads(body) if status == 200 else None
    except ValueError:
        return []
    if not isinstance(answer, dict) or str(answer.get("code")) != str(OK):
        return []
    data = answer.get("data")
    items = data.get("acked") if isinstance(data, dict) else None
    pairs = []
    for item in items if isinstance(items, list) else []:
        lowered = {str(name).lower(): value for name, value in item.items()} if isinstance(item, dict) else {}
        if isinstance(lowered.get("projectno"), str) and isinstance(lowered.get("seq"), int):
            pairs.append((lowered["projectno"], lowered["seq"]))
    return pairs
