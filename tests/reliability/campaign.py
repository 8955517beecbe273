"""One campaign: a house, trouble of some kind, citizens who keep coming while it lasts, the calm afterwards, the audit."""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from deploy.local.people import Unexpected
from tests.reliability.books import Audit, Database, unkept, waiting_rows
from tests.reliability.citizens import Citizen, Town
from tests.reliability.house import House
from tests.reliability.storm import Storm
from tests.reliability.weather import Weather

_QUIET_LOOKS = 8
_TELLING = (1, 3, 4, 5)  # wechat, wechat_pay, one_window, ems


@dataclass
class Report:
    """What a campaign did and what it found."""

    seed: int
    kills: int = 0
    faults: int = 0
    stories: int = 0
    trouble_seconds: float = 0.0
    seconds: float = 0.0
    most_crashes: int = 0
    found: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        head = (
            f"seed {self.seed}: {self.kills} kills and {self.faults} faults in {self.trouble_seconds:.1f} s, "
            f"{self.stories} stories, no row died with its holder more than {self.most_crashes} times, "
            f"{self.seconds:.1f} s in all, {len(self.found)} violations"
        )
        return "\n".join([head, *(f"  - {sentence}" for sentence in self.found)])


async def kill(house: House, *, seed: int, kills: int, at_once: int = 4, database_every: int = 0) -> Report:
    """Processes die while citizens live their stories."""
    storm = Storm(house, seed, kills, database_every=database_every)
    report = Report(seed)
    report.kills = kills
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        await through(house, Town(session, house.api, house.sandbox_port), storm.blow(), report, at_once=at_once)
    return report


async def disturb(house: House, *, seed: int, seconds: float, at_once: int = 4) -> Report:
    """Partners misbehave while citizens live their stories."""
    report = Report(seed)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        town = Town(session, house.api, house.sandbox_port)
        weather = Weather(town.partners, seed)

        async def rain() -> None:
            try:
                async with asyncio.timeout(seconds):
                    await weather.rage()
            except TimeoutError:
                await weather.clear()

        await through(house, town, rain(), report, at_once=at_once)
        report.faults = await weather.met()
    return report


async def through(
    house: House,
    town: Town,
    trouble: Coroutine[Any, Any, None],
    report: Report,
    *,
    at_once: int,
    drain_seconds: float = 60,
) -> None:
    """New citizens begin as long as the trouble lasts; those who have begun finish in the calm after it. Then the audit."""
    began = time.monotonic()
    lasting = asyncio.create_task(trouble)
    streets = [asyncio.create_task(_street(town, lasting, report, 0.7 * n)) for n in range(at_once)]
    try:
        await lasting
        report.trouble_seconds = time.monotonic() - began
        await asyncio.gather(*streets)
    finally:
        for task in (lasting, *streets):
            task.cancel()
    finished = [citizen for citizen in town.citizens if citizen.trail and citizen.trail[-1][0] == "hear_everything"]
    report.stories = len(finished)
    database = Database(house.database_url)
    await told(town)
    await drained(database, drain_seconds)
    report.most_crashes = await database.one("SELECT COALESCE(MAX(crashes), 0) FROM kernel_outbox")
    if report.found:  # a story without an end leaves half-finished books that say nothing, but promises that say why
        report.found += await unkept(database)
    else:
        report.found += await Audit(database, town.partners, finished, house.folder / "data").run()
    report.found += await house.examine()
    report.seconds = time.monotonic() - began


async def _street(town: Town, trouble: "asyncio.Task[None]", report: Report, wait: float) -> None:
    await asyncio.sleep(wait)
    while not trouble.done():
        citizen: Citizen = await town.newcomer()
        try:
            await citizen.live()
        except Unexpected as error:
            report.found.append(str(error))


async def told(town: Town, most_seconds: float = 60) -> None:
    """Waits until the partners have told us everything: what found us dead comes again on their ladder."""
    deadline = time.monotonic() + most_seconds
    while time.monotonic() < deadline:
        states = [await town.partners.partner(offset).do("GET", "") for offset in _TELLING]
        if not any(state["counters"]["pending_callbacks"] for state in states):
            return
        await asyncio.sleep(0.5)


async def drained(database: Database, seconds: float, most_seconds: float = 180) -> None:
    """Waits until every promise is kept, as long as there is progress: a row that is only tried again is none.

    One look is not enough: what a partner tells us late makes a new promise after the last one was kept.
    """
    began = time.monotonic()
    deadline, last, quiet = began + seconds, None, 0
    while time.monotonic() < min(deadline, began + most_seconds):
        waiting = {row.partition(" after ")[0] for row in await waiting_rows(database)}
        quiet = 0 if waiting else quiet + 1
        if quiet == _QUIET_LOOKS:
            return
        if waiting != last:
            deadline, last = time.monotonic() + seconds, waiting
        await asyncio.sleep(0.3)
