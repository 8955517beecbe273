"""A world whose kills are real: each life is a process of its own that ends by SIGKILL, and one more judges what they left.

`python -m tests.chaos.killed SEED LIFE URL FOLDER` is one life, with `books` for LIFE the judge. The partners' memory, the clock
and what was told lie in the folder.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from kernel.settings import DatabaseSettings
from tests.chaos import alarms, audit, world
from tests.chaos.ground import prepare
from tests.chaos.story import Story

ROOT = Path(__file__).parents[2]


def settings_for(url: str) -> DatabaseSettings:
    """Fast: a killed process loses nothing that the system already holds."""
    return DatabaseSettings(url=url, synchronous="OFF", pool_size=8, acquire_seconds=5.0, command_seconds=20.0)


def _partners(folder: Path) -> world.Partners:
    return world.Partners(folder, file=folder / "partners.sqlite3")


def _age(folder: Path) -> float | None:
    """How old the world was when the last process ended; None before the first."""
    left = folder / "age.json"
    return float(json.loads(left.read_text())) if left.exists() else None


async def live(seed: int, life: int, url: str, folder: Path) -> None:
    """Plays until the kill; a life that meets none ends orderly."""
    partners = _partners(folder)
    since = _age(folder)
    async with world.opened(seed, settings_for(url), partners, folder, since=since, life=life) as place:
        place.heard_in = folder / "told"

        def write_down(where: str) -> None:
            (folder / "age.json").write_text(json.dumps(place.clock.monotonic() - 1000.0))
            (folder / "killed").open("a").write(f"{where}\n")

        place.lives.last_word = write_down
        story = Story(place)
        await story.remember()
        await story.play()
        write_down("not at all")


async def aftermath(seed: int, url: str, folder: Path) -> list[str]:
    """What is wrong with the books after all lives, in words."""
    partners = _partners(folder)
    async with world.opened(
        seed, settings_for(url), partners, folder, since=(_age(folder) or 0.0) + 30, life=99
    ) as place:
        told = folder / "told"
        for key in told.read_text().splitlines() if told.exists() else ():
            place.told[key] = place.told.get(key, 0) + 1
        place.lives.kills.append("really")
        return [*await audit.settle(place), *await audit.compare(place)]


def lives(seed: int, number: int, url: str, folder: Path) -> tuple[list[int], str]:
    """Lives one after the other, and then the judge: how each ended (0 or minus the signal), and what is wrong."""
    ended = [_process(seed, str(life), url, folder) for life in range(number)]
    return [one.returncode for one in ended], _process(seed, "books", url, folder).stdout


def _process(seed: int, life: str, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.chaos.killed", str(seed), life, url, str(folder)]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    if ended.returncode > 0:
        raise RuntimeError(ended.stderr[-3000:])
    return ended


def main() -> None:
    """One life, or the judge."""
    seed, life, url, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])
    prepare()
    alarms.listen(show=False)
    loop = asyncio.new_event_loop()
    if life == "books":
        print("\n".join([*loop.run_until_complete(aftermath(seed, url, folder)), *alarms.heard()]), end="", flush=True)
    else:
        loop.run_until_complete(live(seed, int(life), url, folder))
    os._exit(0)


if __name__ == "__main__":
    main()
