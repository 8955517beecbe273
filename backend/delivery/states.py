"""The parcel's state table, the public 送达 words, and how a carrier's event moves a parcel; no rows here.

Three rules live here. A carrier's events are ordered by *event time*, never by arrival, so any permutation or
repetition of them ends in the same state. Nothing a carrier says makes a certificate DELIVERED: only the one-time code
or the recorded exception does. What we finished ourselves (handed over, cancelled, collected) no late message can move.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from kernel.state_machine import Edge, Label, Machine


class ParcelState(StrEnum):
    """Where a parcel stands."""

    QUOTED = "QUOTED"
    BOOK_FAILED = "BOOK_FAILED"
    BOOKED = "BOOKED"
    ASSIGNED = "ASSIGNED"
    CANCELLED = "CANCELLED"
    PICKED_UP = "PICKED_UP"
    IN_TRANSIT = "IN_TRANSIT"
    OUT_FOR_DELIVERY = "OUT_FOR_DELIVERY"
    ATTEMPT_FAILED = "ATTEMPT_FAILED"
    HELD = "HELD"
    REFUSED = "REFUSED"
    LOST = "LOST"
    RETURNING = "RETURNING"
    RETURNED = "RETURNED"
    DELIVERED = "DELIVERED"
    WAITING_PICKUP = "WAITING_PICKUP"
    COLLECTED = "COLLECTED"


class ParcelAction(StrEnum):
    """What happens to a parcel; a carrier's event is one of these too."""

    ACCEPT_ORDER = "accept_order"
    REFUSE_ORDER = "refuse_order"
    CANCEL = "cancel"
    ASSIGN = "assign"
    PICK_UP = "pick_up"
    MOVE = "move"
    GO_OUT = "go_out"
    FAIL_ATTEMPT = "fail_attempt"
    REACH_LIMIT = "reach_limit"
    HOLD = "hold"
    REFUSE = "refuse"
    LOSE = "lose"
    TURN_BACK = "turn_back"
    ARRIVE_BACK = "arrive_back"
    HAND_OVER = "hand_over"
    RECORD_EXCEPTION = "record_exception"
    REOPEN = "reopen"
    WAIT_AT_WINDOW = "wait_at_window"
    COLLECT = "collect"


class By(StrEnum):
    """Who acts. A dispatcher and a window clerk are both staff; until the console exists they use commands."""

    SYSTEM = "system"
    CARRIER = "carrier"
    COURIER = "courier"
    CITIZEN = "citizen"
    CLERK = "clerk"


S, A = ParcelState, ParcelAction

# The public 送达 words: NONE, BOOKED 已约寄, IN_TRANSIT 寄送中, OUT_FOR_DELIVERY 派送中, DELIVERED 已送达 …
LABELS: dict[StrEnum, Label] = {
    S.QUOTED: Label("NONE", "待寄送", False),
    S.BOOK_FAILED: Label("NONE", "约寄未成功，窗口会与您联系", False),
    S.CANCELLED: Label("NONE", "已取消寄送", True),
    S.BOOKED: Label("BOOKED", "已约寄", False),
    S.ASSIGNED: Label("BOOKED", "已约寄", False),
    S.PICKED_UP: Label("IN_TRANSIT", "寄送中", False),
    S.IN_TRANSIT: Label("IN_TRANSIT", "寄送中", False),
    S.HELD: Label("IN_TRANSIT", "暂存快递站点，请联系投递员或窗口", False),
    S.OUT_FOR_DELIVERY: Label("OUT_FOR_DELIVERY", "派送中", False),
    S.ATTEMPT_FAILED: Label("OUT_FOR_DELIVERY", "派送未成功，将再次派送", False),
    S.DELIVERED: Label("DELIVERED", "已送达", True),
    S.REFUSED: Label("REFUSED_BY_RECEIVER", "拒收", False),
    S.LOST: Label("UNDELIVERABLE", "未妥投，窗口正在核查", False),
    S.RETURNING: Label("RETURNED_TO_WINDOW", "正在退回窗口", False),
    S.RETURNED: Label("RETURNED_TO_WINDOW", "已退回窗口，请到窗口领取", False),
    S.WAITING_PICKUP: Label("WAITING_PICKUP", "待领取", False),
    S.COLLECTED: Label("COLLECTED", "已领取", True),
}

_PRE = (S.BOOKED, S.ASSIGNED)
_MOVING = (S.PICKED_UP, S.IN_TRANSIT)
_AT_THE_DOOR = (S.OUT_FOR_DELIVERY, S.ATTEMPT_FAILED, S.HELD)
# States in which the thing is on its way outside the window; the courier sees the full address only then.
IN_HANDS = frozenset({S.PICKED_UP, S.IN_TRANSIT, *_AT_THE_DOOR, S.REFUSED, S.RETURNING})
# A carrier may jump forward over states it never reported; a movement after its own "cancelled" shows that it was not.
_BEFORE_PICK_UP = (*_PRE, S.CANCELLED)
_BEFORE_DOOR = (*_BEFORE_PICK_UP, *_MOVING)
_BEFORE_WAY_BACK = (*_BEFORE_DOOR, *_AT_THE_DOOR)

_Rule = tuple[ParcelAction, ParcelState, dict[ParcelState, set[By]]]


def _from(by: By, *sources: ParcelState) -> dict[ParcelState, set[By]]:
    return {source: {by} for source in sources}


def _merge(*parts: dict[ParcelState, set[By]]) -> dict[ParcelState, set[By]]:
    merged: dict[ParcelState, set[By]] = {}
    for part in parts:
        for source, by in part.items():
            merged.setdefault(source, set()).update(by)
    return merged


_RULES: tuple[_Rule, ...] = (
    (A.ACCEPT_ORDER, S.BOOKED, _from(By.SYSTEM, S.QUOTED, S.BOOK_FAILED)),
    (A.REFUSE_ORDER, S.BOOK_FAILED, _from(By.SYSTEM, S.QUOTED)),
    (
        A.CANCEL,
        S.CANCELLED,
        _merge(_from(By.SYSTEM, S.QUOTED, S.BOOK_FAILED, S.WAITING_PICKUP, *_PRE), _from(By.CARRIER, *_PRE)),
    ),
    (A.ASSIGN, S.ASSIGNED, _merge(_from(By.SYSTEM, S.BOOKED), _from(By.CLERK, S.BOOKED), _from(By.CARRIER, S.BOOKED))),
    (A.PICK_UP, S.PICKED_UP, _merge(_from(By.CARRIER, *_BEFORE_PICK_UP), _from(By.COURIER, *_PRE))),
    (A.MOVE, S.IN_TRANSIT, _from(By.CARRIER, *_BEFORE_PICK_UP, S.PICKED_UP)),
    (
        A.GO_OUT,
        S.OUT_FOR_DELIVERY,
        _merge(
            _from(By.CARRIER, *_BEFORE_DOOR, S.ATTEMPT_FAILED, S.HELD),
            _from(By.COURIER, *_MOVING, S.ATTEMPT_FAILED, S.HELD),
        ),
    ),
    (
        A.FAIL_ATTEMPT,
        S.ATTEMPT_FAILED,
        _merge(_from(By.CARRIER, *_BEFORE_DOOR, S.OUT_FOR_DELIVERY, S.HELD), _from(By.COURIER, S.OUT_FOR_DELIVERY)),
    ),
    (A.REACH_LIMIT, S.HELD, _from(By.SYSTEM, S.ATTEMPT_FAILED)),
    (A.HOLD, S.HELD, _from(By.CARRIER, *_BEFORE_DOOR, S.OUT_FOR_DELIVERY, S.ATTEMPT_FAILED)),
    (A.REFUSE, S.REFUSED, _merge(_from(By.CARRIER, *_BEFORE_WAY_BACK), _from(By.COURIER, S.OUT_FOR_DELIVERY, S.HELD))),
    (
        A.LOSE,
        S.LOST,
        _merge(
            _from(By.CARRIER, *_BEFORE_WAY_BACK, S.REFUSED, S.RETURNING),
            _from(By.CLERK, *_MOVING, *_AT_THE_DOOR, S.REFUSED, S.RETURNING),
        ),
    ),
    (
        A.TURN_BACK,
        S.RETURNING,
        _merge(_from(By.CARRIER, *_BEFORE_WAY_BACK, S.REFUSED, S.LOST), _from(By.COURIER, S.REFUSED, S.HELD)),
    ),
    (
        A.ARRIVE_BACK,
        S.RETURNED,
        _merge(
            _from(By.CARRIER, *_BEFORE_WAY_BACK, S.REFUSED, S.LOST, S.RETURNING),
            _from(By.CLERK, S.HELD, S.REFUSED, S.LOST, S.RETURNING),
        ),
    ),
    (A.HAND_OVER, S.DELIVERED, _from(By.COURIER, S.OUT_FOR_DELIVERY)),
    (
        A.RECORD_EXCEPTION,
        S.DELIVERED,
        # A clerk records it after looking into "the carrier says signed" or a lost parcel that turned up.
        _merge(_from(By.COURIER, S.OUT_FOR_DELIVERY), _from(By.CLERK, *_MOVING, *_AT_THE_DOOR, S.REFUSED, S.LOST)),
    ),
    (A.REOPEN, S.HELD, _from(By.CLERK, S.DELIVERED)),
    (A.WAIT_AT_WINDOW, S.WAITING_PICKUP, _from(By.SYSTEM, S.QUOTED)),
    # Also what the carrier called off: the result still lies at the window.
    (A.COLLECT, S.COLLECTED, _from(By.CLERK, S.WAITING_PICKUP, S.QUOTED, S.BOOK_FAILED, S.CANCELLED, S.RETURNED)),
)

EDGES: tuple[Edge, ...] = tuple(
    Edge(source, action, target, frozenset(str(one) for one in by))
    for action, target, sources in _RULES
    for source, by in sources.items()
)
# What the timeline says when the parcel reaches a state and nobody wrote words of his own.
SENTENCES: dict[ParcelState, str] = {
    S.QUOTED: "已登记邮寄，等待证件制好",
    S.BOOK_FAILED: "快递预约没有成功，窗口会与您联系",
    S.CANCELLED: "寄送已取消",
    S.BOOKED: "已预约快递",
    S.ASSIGNED: "已安排投递员",
    S.PICKED_UP: "投递员已到窗口取件",
    S.IN_TRANSIT: "快件运输中",
    S.HELD: "快件暂存站点",
    S.OUT_FOR_DELIVERY: "投递员正在派送",
    S.ATTEMPT_FAILED: "这次没有送到，会再次派送",
    S.DELIVERED: "已签收，送达本人",
    S.REFUSED: "收件人拒收",
    S.LOST: "快件下落不明，窗口正在核查",
    S.RETURNING: "正在退回窗口",
    S.RETURNED: "已退回窗口",
    S.WAITING_PICKUP: "证件已到窗口，等待领取",
    S.COLLECTED: "已在窗口领取",
}

PARCEL = Machine("parcel", edges=EDGES, labels=LABELS)
TARGETS: dict[ParcelAction, ParcelState] = {action: target for action, target, _ in _RULES}


class Canonical(StrEnum):
    """What a carrier's code means to us. SIGNED opens a review; UNKNOWN and FEE are only recorded."""

    ASSIGNED = "ASSIGNED"
    CANCELLED = "CANCELLED"
    PICKED_UP = "PICKED_UP"
    IN_TRANSIT = "IN_TRANSIT"
    OUT_FOR_DELIVERY = "OUT_FOR_DELIVERY"
    ATTEMPT_FAILED = "ATTEMPT_FAILED"
    HELD = "HELD"
    REFUSED = "REFUSED"
    LOST = "LOST"
    RETURNING = "RETURNING"
    RETURNED = "RETURNED"
    SIGNED = "SIGNED"
    FEE = "FEE"
    UNKNOWN = "UNKNOWN"


_ACTION_OF: dict[Canonical, ParcelAction] = {
    Canonical.ASSIGNED: A.ASSIGN,
    Canonical.CANCELLED: A.CANCEL,
    Canonical.PICKED_UP: A.PICK_UP,
    Canonical.IN_TRANSIT: A.MOVE,
    Canonical.OUT_FOR_DELIVERY: A.GO_OUT,
    Canonical.ATTEMPT_FAILED: A.FAIL_ATTEMPT,
    Canonical.HELD: A.HOLD,
    Canonical.REFUSED: A.REFUSE,
    Canonical.LOST: A.LOSE,
    Canonical.RETURNING: A.TURN_BACK,
    Canonical.RETURNED: A.ARRIVE_BACK,
}

# How far a state is along the way. A later stage is never left for an earlier one; inside one stage event time decides.
STAGES: dict[ParcelState, int] = {
    S.QUOTED: 0,
    S.BOOK_FAILED: 0,
    S.BOOKED: 1,
    S.ASSIGNED: 2,
    S.CANCELLED: 3,
    S.PICKED_UP: 4,
    S.IN_TRANSIT: 5,
    S.OUT_FOR_DELIVERY: 6,
    S.ATTEMPT_FAILED: 6,
    S.HELD: 6,
    S.REFUSED: 7,
    S.LOST: 8,
    S.RETURNING: 8,
    S.RETURNED: 9,
    S.WAITING_PICKUP: 10,
    S.DELIVERED: 10,
    S.COLLECTED: 10,
}
OURS = 10  # the stage of what we concluded ourselves: above everything a carrier can report
_RANKS: dict[ParcelState, int] = {S.ATTEMPT_FAILED: 1, S.HELD: 2, S.RETURNING: 1}


@dataclass(frozen=True, order=True)
class Mark:
    """The place of a parcel on its way: stage, event time, then a fixed order for equal instants. It only grows."""

    stage: int
    at: datetime
    rank: int


def mark_of(state: ParcelState, at: datetime) -> Mark:
    """The mark an event that leads to `state` at that time would set."""
    return Mark(STAGES[state], at, _RANKS.get(state, 0))


def action_of(canonical: Canonical) -> ParcelAction | None:
    """The action of a carrier's event, or None when it moves nothing."""
    return _ACTION_OF.get(canonical)


@dataclass(frozen=True)
class Position:
    """State and mark of a parcel, and how many delivery attempts its carrier reported."""

    state: ParcelState
    mark: Mark
    attempts: int = 0


def follow(
    position: Position, canonical: Canonical, at: datetime, *, attempt_limit: int, courier_attempts: int = 0
) -> Position:
    """Where a parcel stands after one *new* event of its carrier. Late events count (attempts) but never move it back.

    The caller has already dropped duplicates. The result depends on the set of events alone, not on their order.
    `courier_attempts` are those our courier recorded; both tell of the same visits, so the higher count decides.
    """
    action = action_of(canonical)
    if action is None:
        return position
    target = TARGETS[action]
    attempts = position.attempts + (canonical is Canonical.ATTEMPT_FAILED)
    mark = max(position.mark, mark_of(target, at))
    state = target if mark > position.mark else position.state
    if state is S.ATTEMPT_FAILED and max(attempts, courier_attempts) >= attempt_limit:
        state = S.HELD
    return Position(state, mark, attempts)
