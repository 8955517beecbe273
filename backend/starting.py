"""Bringing a process up: patient with a database that is just restarting, and clear in Chinese about everything else."""

import asyncio
from typing import Any

import structlog

from backend import wiring
from kernel import config
from kernel.metrics import CannotListen
from kernel.problems import DatabaseUnavailable

PATIENCE_SECONDS = 60.0
_PAUSE_SECONDS = 0.5
_log = structlog.get_logger("start")


async def patiently(values: dict[type[Any], Any], *, seconds: float = PATIENCE_SECONDS) -> wiring.Running:
    """`wiring.start`, tried again while the database does not answer: its restart is no reason for ours."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        try:
            return await wiring.start(values)
        except DatabaseUnavailable as error:
            if loop.time() > deadline:
                raise
            _log.warning("waiting for the database", detail=error.detail)
        await asyncio.sleep(_PAUSE_SECONDS)


def explain(error: BaseException) -> tuple[int, str] | None:
    """Exit code and text for a person when a process could not start; None for what is a bug and deserves its traceback."""
    if isinstance(error, config.ConfigError):
        return 2, "配置有问题，请改正后重试：\n" + "\n".join(f"  - {c}" for c in error.complaints)
    if isinstance(error, DatabaseUnavailable):
        return 1, error.detail
    if isinstance(error, wiring.SchemaOutdated | CannotListen):
        return 1, str(error)
    return None
