"""Bad weather at the partners: which faults each call may meet, drawn from a seed, ordered while stories are played."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from deploy.local.people import Cast

Effect = dict[str, Any]
# What any partner may do to any call: break the line, take its time, answer with a proxy's page or with noise.
ANYWHERE: tuple[Effect, ...] = (
    {"drop": "before"},
    {"drop": "after"},
    {"delay_ms": 700},
    {"status": 500},
    {"body": "html", "status": 502},
    {"body": "html"},
    {"body": "garbage"},
    {"body": "truncated"},
    {"body": "empty"},
)
SIGNATURES: tuple[Effect, ...] = ({"signature": "other_key"}, {"signature": "none"}, {"signature": "stale"})
# Offset → name, the calls of the story, and what only this partner can do wrong.
PARTNERS: dict[int, tuple[str, tuple[str, ...], tuple[Effect, ...]]] = {
    1: ("wechat", ("jscode2session", "getuserphonenumber", "send", "stable_token"), ({"invalidate_token": True}, {"code": -1})),
    2: ("register", ("verify",), (*SIGNATURES, {"status": 503, "code": "BUSY"})),
    3: ("wechat_pay", ("jsapi", "query"), (*SIGNATURES, {"status_after": 500})),
    4: (
        "one_window",
        ("serial.new", "task.get", "attach.put", "case.push", "case.supplement", "attach.get", "event.pull", "delivery.push"),
        ({"html200": True}, {"code": 500}),
    ),
    5: ("ems", ("020003", "040001"), ({"code": "99999"},)),
}  # fmt: skip


@dataclass
class Weather:
    """Orders one fault after the other at a random partner; `order` remembers what was asked for."""

    partners: Cast
    seed: int
    every_seconds: float = 0.12
    ordered: list[tuple[str, str, Effect]] = field(default_factory=list)

    def plan(self) -> Iterator[tuple[int, str, Effect]]:
        """Every combination once, in the seed's order, and then again."""
        dice = random.Random(self.seed)
        everything = [
            (offset, call, effect)
            for offset, (_, calls, own) in PARTNERS.items()
            for call in calls
            for effect in (*ANYWHERE, *own)
        ]
        while True:
            dice.shuffle(everything)
            yield from everything

    async def rage(self) -> None:
        """Until it is cancelled. A fault waits for the next call of its kind; at most a few lie in wait at once."""
        for offset, call, effect in self.plan():
            partner = self.partners.partner(offset)
            lying = (await partner.do("GET", "/faults"))["faults"]
            if sum(1 for fault in lying if fault["match"]["call"] == call) < 2:
                await partner.do("POST", "/faults", {"match": {"call": call}, "times": 1, "effect": effect})
                self.ordered.append((PARTNERS[offset][0], call, effect))
            await asyncio.sleep(self.every_seconds)

    async def clear(self) -> None:
        """The sun comes out: what lay in wait is withdrawn."""
        for offset in PARTNERS:
            await self.partners.partner(offset).do("DELETE", "/faults")

    async def met(self) -> int:
        """How many calls a fault has really hit, from the partners' own logs."""
        hits = 0
        for offset in PARTNERS:
            lines = (await self.partners.partner(offset).do("GET", "/requests?last=1000"))["requests"]
            hits += sum(1 for line in lines if line.get("fault"))
        return hits
