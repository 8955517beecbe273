"""What an answer of the platform means for us: one table of codes and one of texts; no rows, no calls."""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Meaning(StrEnum):
    """What we do after an answer."""

    DONE = "done"
    ALREADY = "already"  # the goal was reached before: success
    PARK = "park"  # a person decides
    UPLOAD = "upload"  # attachments are missing there: upload again, push again
    SIGN = "sign"  # once again with a fresh nonce, then alert
    LATER = "later"


@dataclass(frozen=True)
class Reply:
    """An answer as read from the wire; `code` is None when it was not the contract's envelope."""

    http_status: int
    code: int | None
    message: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """An answer understood."""

    meaning: Meaning
    code: str
    message: str
    data: dict[str, Any]
    wait_seconds: float | None = None


_BY_CODE = {
    200: Meaning.DONE,
    300: Meaning.PARK,
    301: Meaning.SIGN,
    302: Meaning.PARK,
    303: Meaning.PARK,
    304: Meaning.PARK,
    305: Meaning.UPLOAD,
    429: Meaning.LATER,
    500: Meaning.LATER,
}
# Integrators answer in words what the contract says in codes; the first match wins over the code.
_BY_TEXT = (("当前业务已", Meaning.ALREADY), ("接口令牌不存在", Meaning.LATER))

_TAKEN = frozenset(
    {
        "SUBMITTED",
        "RECEIVED",
        "ACCEPTED",
        "NOT_ACCEPTED",
        "CORRECTION",
        "SUPPLEMENTED",
        "PROCESSING",
        "SUSPENDED",
        "FINISHED",
        "DELIVERING",
        "DELIVERED",
        "RATED",
    }
)
# 306 names the state there: success when our goal lies behind it. A number without a case needs no withdrawal.
GOALS: dict[str, frozenset[str]] = {
    "case.push": _TAKEN,
    "case.supplement": frozenset({"SUPPLEMENTED", "ACCEPTED", "PROCESSING", "SUSPENDED"}),
    "case.withdraw": frozenset({"WITHDRAWN", "DRAFT"}),
    "delivery.push": frozenset({"DELIVERING", "DELIVERED", "RATED"}),
}
_MAX_WAIT_SECONDS = 3600.0


def read(verb: str, reply: Reply) -> Reading:
    """Classify one answer. Anything we do not understand is LATER: unknown is never taken for failed or done."""
    code = "" if reply.code is None else str(reply.code)
    meaning, wait = _meaning(verb, reply), None
    if meaning is Meaning.LATER and reply.code == 429:
        wait = _seconds(reply.data.get("retryafter"))
    return Reading(meaning, code or f"http-{reply.http_status}", reply.message, reply.data, wait)


def _meaning(verb: str, reply: Reply) -> Meaning:
    if reply.http_status == 413:
        return Meaning.PARK
    if reply.http_status != 200 or reply.code is None:
        return Meaning.LATER
    if reply.code == 200:
        return Meaning.ALREADY if reply.data.get("duplicate") is True else Meaning.DONE
    for text, meaning in _BY_TEXT:
        if text in reply.message:
            return meaning
    if reply.code == 306:
        return Meaning.ALREADY if reply.data.get("state") in GOALS.get(verb, frozenset()) else Meaning.PARK
    return _BY_CODE.get(reply.code, Meaning.LATER)


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        return None
    return None if math.isnan(seconds) else min(max(seconds, 1.0), _MAX_WAIT_SECONDS)
