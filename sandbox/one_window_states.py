"""The platform's case states (YCSL-REF v1 §4.7) as plain tables: who may do what in which state; no storage."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.one_window_wire import ILLEGAL_TRANSITION, Refusal

DRAFT, SUBMITTED, RECEIVED = "DRAFT", "SUBMITTED", "RECEIVED"
ACCEPTED, NOT_ACCEPTED, CORRECTION, SUPPLEMENTED = "ACCEPTED", "NOT_ACCEPTED", "CORRECTION", "SUPPLEMENTED"
PROCESSING, SUSPENDED, FINISHED = "PROCESSING", "SUSPENDED", "FINISHED"
DELIVERING, DELIVERED, WITHDRAWN = "DELIVERING", "DELIVERED", "WITHDRAWN"

POSITIVE_CODES = ("0", "6")
RESULT_CODES = ("0", "1", "2", "3", "5", "6", "7")
REASON_NEEDED = ("1", "2", "3", "5")

# Moves of the sending system, by verb.
FROM_CHANNEL: dict[tuple[str, str], str] = {
    ("case.push", DRAFT): SUBMITTED,
    ("case.push", SUBMITTED): SUBMITTED,
    ("case.push", RECEIVED): RECEIVED,
    ("case.supplement", CORRECTION): SUPPLEMENTED,
    ("delivery.push", FINISHED): DELIVERING,
    ("delivery.push", DELIVERING): DELIVERING,
    ("delivery.push", DELIVERED): DELIVERED,
} | {
    ("case.withdraw", state): WITHDRAWN
    for state in (SUBMITTED, RECEIVED, ACCEPTED, CORRECTION, SUPPLEMENTED, PROCESSING, SUSPENDED)
}

# Moves of the window clerk: action -> (event type, from, to).
CLERK: dict[str, tuple[str, tuple[str, ...], str | None]] = {
    "receive": ("RECEIVED", (SUBMITTED,), RECEIVED),
    "correction": ("CORRECTION", (RECEIVED, SUPPLEMENTED, PROCESSING), CORRECTION),
    "accept": ("ACCEPTED", (RECEIVED, SUPPLEMENTED), ACCEPTED),
    "not_accept": ("NOT_ACCEPTED", (RECEIVED, SUPPLEMENTED), NOT_ACCEPTED),
    "step": ("STEP", (ACCEPTED, PROCESSING, SUPPLEMENTED), PROCESSING),
    "suspend": ("SUSPEND_START", (PROCESSING,), SUSPENDED),
    "resume": ("SUSPEND_END", (SUSPENDED,), PROCESSING),
    "decide": ("RESULT", (ACCEPTED, PROCESSING, SUPPLEMENTED), FINISHED),
    "result_file": ("RESULT_FILE", (FINISHED, DELIVERING, DELIVERED), None),
    "close": ("CLOSED", (NOT_ACCEPTED, WITHDRAWN, FINISHED, DELIVERING, DELIVERED), None),
}
# Only once accepted may a supplemented case go on without a second acceptance, and never be accepted twice.
NEEDS_ACCEPTANCE = ("step", "decide")
ONCE_ONLY = ("accept", "not_accept")


@dataclass(frozen=True, kw_only=True)
class Move:
    """A clerk's action that the table allows."""

    event: str
    target: str


def channel_move(verb: str, state: str) -> str:
    """Where a call of the sending system leads; 306 with the present state when the table says no."""
    target = FROM_CHANNEL.get((verb, state))
    if target is None:
        raise Refusal(ILLEGAL_TRANSITION, state=state)
    return target


def clerk_move(action: str, state: str, *, accepted: bool, code: str | None = None) -> Move:
    """Where a clerk's action leads; `code` is the result code of `decide`."""
    event, sources, target = CLERK[action]
    allowed = state in sources
    if action == "decide" and code == "5" and state == CORRECTION:
        allowed = True  # Code 5 is exactly: closed because the correction never came.
    if state == SUPPLEMENTED and action in NEEDS_ACCEPTANCE and not accepted:
        allowed = False
    if action in ONCE_ONLY and accepted:
        allowed = False
    if not allowed:
        raise Refusal(ILLEGAL_TRANSITION, f"当前状态 {state} 不能执行 {action}", state=state)
    return Move(event=event, target=target or state)
