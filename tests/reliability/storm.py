"""Kills the API and the worker of a house at seeded random moments and starts them again at once."""

import asyncio
import random
import time
from dataclasses import dataclass, field

from tests.reliability.house import House

TARGETS = ("api", "worker", "both")


@dataclass
class Storm:
    """`plan` is drawn from the seed before anything runs, so a seed replays the same gaps and victims."""

    house: House
    seed: int
    kills: int
    shortest_gap: float = 0.05
    longest_gap: float = 1.2
    plan: list[tuple[float, str]] = field(init=False)
    database_every: int = 0  # on PostgreSQL every n-th kill takes the database server with it
    log: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        dice = random.Random(self.seed)
        self.plan = [
            (dice.uniform(self.shortest_gap, self.longest_gap), dice.choices(TARGETS, weights=(5, 3, 2))[0])
            for _ in range(self.kills)
        ]

    async def blow(self) -> None:
        """Every kill of the plan. A process that is just starting may be the victim too."""
        began = time.monotonic()
        for number, (gap, victim) in enumerate(self.plan, 1):
            await asyncio.sleep(gap)
            if self.database_every and number % self.database_every == 0:
                self.house.server.crash()
                await asyncio.to_thread(self.house.server.start)
            for role in ("api", "worker") if victim == "both" else (victim,):
                self.house.kill(role)
                self.house.revive(role)
            self.log.append((time.monotonic() - began, victim))
