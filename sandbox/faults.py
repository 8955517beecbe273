"""The faults engine: misbehaviour ordered for the next N calls; `sandbox.partner` applies it to the wire."""

import time
from collections import deque
from typing import Any

from sandbox.store import Doc, Store

KIND = "_fault"

# Effects the base applies by itself; every other key of an effect is handed to the partner's own code.
COMMON_EFFECTS = ("delay_ms", "drop", "status", "code", "body", "content_type", "rate_per_s")
BODIES = ("garbage", "truncated", "html", "empty")


class FaultError(Exception):
    """The ordered fault makes no sense; the text says why, in Chinese."""


class Faults:
    """Ordered faults of one partner, kept in its store; the oldest fault that matches a call wins."""

    def __init__(self, store: Store, partner_effects: tuple[str, ...] = ()) -> None:
        self.store = store
        self.partner_effects = partner_effects
        self._recent: dict[str, deque[float]] = {}

    def order(self, wish: Doc) -> Doc:
        """Store a fault `{match:{call,number}, times, skip, effect}`; times null = until deleted. Raises FaultError."""
        match = wish.get("match") or {}
        effect = wish.get("effect")
        times, skip = wish.get("times", 1), wish.get("skip", 0)
        if not isinstance(match, dict) or not isinstance(effect, dict) or not effect:
            raise FaultError("match 与 effect 必须是对象，effect 不能为空")
        if not (times is None or (_whole(times) and times > 0)) or not (_whole(skip) and skip >= 0):
            raise FaultError("times 必须是正整数或 null,skip 必须是不小于 0 的整数")
        unknown = [name for name in effect if name not in (*COMMON_EFFECTS, *self.partner_effects, "signed")]
        if unknown:
            raise FaultError(f"不认识的故障效果：{'、'.join(unknown)}")
        if effect.get("drop") not in (None, "before", "after"):
            raise FaultError("drop 只能是 before 或 after")
        fault_id = str(self.store.next_number("fault"))
        fault = {
            "id": fault_id,
            "match": {"call": match.get("call") or "*", "number": match.get("number")},
            "times": None if "rate_per_s" in effect and "times" not in wish else times,
            "skip": skip,
            "effect": effect,
            "used": 0,
        }
        self.store.put(KIND, fault_id, fault)
        return fault

    def all(self) -> list[Doc]:
        """Faults still in force."""
        return self.store.all(KIND)

    def delete(self, fault_id: str | None = None) -> int:
        """Withdraw one fault or all of them; how many were withdrawn."""
        ids = [fault["id"] for fault in self.all() if fault_id in (None, fault["id"])]
        return sum(self.store.delete(KIND, one) for one in ids)

    def take(self, call: str, number: str | None) -> dict[str, Any]:
        """Use up one matching fault and return its effect; `{}` when none applies."""
        for fault in self.all():
            match = fault["match"]
            if match["call"] not in ("*", call) or match["number"] not in (None, number):
                continue
            if fault["skip"] > 0:
                fault["skip"] -= 1
                self.store.put(KIND, fault["id"], fault)
                continue
            effect: dict[str, Any] = fault["effect"]
            if "rate_per_s" in effect and not self._too_fast(fault["id"], float(effect["rate_per_s"])):
                continue
            self._use(fault)
            return effect
        return {}

    def _use(self, fault: Doc) -> None:
        fault["used"] += 1
        if fault["times"] is not None and fault["used"] >= fault["times"]:
            self.store.delete(KIND, fault["id"])
        else:
            self.store.put(KIND, fault["id"], fault)

    def _too_fast(self, fault_id: str, rate_per_s: float) -> bool:
        """True when this call is beyond the allowed number within the last second."""
        recent = self._recent.setdefault(fault_id, deque())
        now = time.monotonic()
        while recent and now - recent[0] > 1:
            recent.popleft()
        if len(recent) >= rate_per_s:
            return True
        recent.append(now)
        return False


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
