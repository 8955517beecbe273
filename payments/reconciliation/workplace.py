"""Where files are worked on: a folder of this machine per channel and day, emptied before and removed afterwards."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

_folder: Path | None = None


def use(folder: Path) -> None:
    """Set once by the wiring. The folder is made with the first day."""
    global _folder
    _folder = folder


@asynccontextmanager
async def opened(channel: str, day: date) -> AsyncIterator[Path]:
    """An empty folder for one day's work. What a killed process left there is removed first: a day has one worker at a time."""
    if _folder is None:
        raise RuntimeError("payments.reconciliation.workplace.use() was not called")
    place = _folder / f"{channel}-{day.isoformat()}"
    await asyncio.to_thread(_empty, place)
    try:
        yield place
    finally:
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


def _empty(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700, parents=True)
