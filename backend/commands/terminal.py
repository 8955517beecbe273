"""What commands share: speaking to the person at the terminal, and an opened product around a command."""

import argparse
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from backend import wiring
from kernel import logs

Run = Callable[[argparse.Namespace], Awaitable[int | None]]
Commands = Any  # argparse keeps the type of its sub-parsers private


class Refused(Exception):
    """The command cannot do it; the text says why and what to do."""


def say(text: str) -> None:
    """One line to the person at the terminal."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@asynccontextmanager
async def opened(process: str = "command") -> AsyncIterator[wiring.Running]:
    """The product, configured and connected, for the time of one command."""
    values = wiring.load_settings()
    logs.configure(logs.LogSettings(level="warning"), process=process)
    try:
        yield await wiring.start(values)
    finally:
        await wiring.stop()
