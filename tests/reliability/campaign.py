"""One campaign: a house, a storm, citizens who keep coming while it blows, the calm afterwards, the audit."""

import asyncio
import time
from dataclasses import dataclass, field

import aiohttp

from deploy.local.people import Unexpected
from tests.reliability.books import Audit, Database, waiting_rows
from tests.reliability.citizens import Citizen, Town
from tests.reliability.house import House
from tests.reliability.storm import Storm


@dataclass
class Report:
    """What a campaign did and what it found."""

    seed: int
    kills: int = 0
    stories: int = 0
    storm_seconds: float = 0.0
    seconds: float = 0.0
    found: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        head = (
            f"seed {self.seed}: {self.kills} kills in {self.storm_seconds:.1f} s, {self.stories} stories, "
            f"{self.seconds:.1f} s in all, {len(self.found)} violations"
        )
        return "\n".join([head, *(f"  - {sentence}" for sentence in self.found)])


async def run(house: House, *, seed: int, kills: int, at_once: int = 4, drain_seconds: float = 60) -> Report:
    """New citizens begin as long as the storm blows; those who have begun finish in the calm after it."""
    report = Report(seed)
    began = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as session:
        town = Town(session, house.api, house.sandbox_port)
        storm = Storm(house, seed, kills)
        blowing = asyncio.create_task(storm.blow())
        streets = [asyncio.create_task(_street(town, blowing, report, 0.7 * n)) for n in range(at_once)]
        await blowing
        report.kills, report.storm_seconds = len(storm.log), time.monotonic() - began
        await asyncio.gather(*streets)
        finished = [citizen for citizen in town.citizens if citizen.trail and citizen.trail[-1][0] == "hear_everything"]
        report.stories = len(finished)
        database = Database(house.database_url)
        await drained(database, drain_seconds)
        if not report.found:  # a story without an end leaves half-finished books that say nothing
            report.found += await Audit(database, town.partners, finished, house.folder / "data").run()
    report.found += await house.examine()
    report.seconds = time.monotonic() - began
    return report


async def _street(town: Town, blowing: "asyncio.Task[None]", report: Report, wait: float) -> None:
    await asyncio.sleep(wait)
    while not blowing.done():
        citizen: Citizen = await town.newcomer()
        try:
            await citizen.live()
        except Unexpected as error:
            report.found.append(str(error))


async def drained(database: Database, seconds: float) -> None:
    """Waits until every promise is kept, as long as there is progress."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        waiting = await waiting_rows(database)
        if not waiting:
            return
        if waiting != last:
            deadline, last = time.monotonic() + seconds, waiting
        await asyncio.sleep(0.3)
