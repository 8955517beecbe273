"""The whole product as real processes for a test: sandbox, API, worker, on free ports and the engine under test."""

import contextlib
import random
import socket
from pathlib import Path

import aiohttp

from deploy.local.people import Cast
from deploy.local.run import LocalRun


def free_block(size: int = 16) -> int:
    """The first of `size` neighbouring free ports, below the range that the kernel hands out to outgoing connections."""
    blocks = list(range(20000, 32000, size))
    random.shuffle(blocks)  # several test runs on one machine must not all begin at the same block
    for first in blocks:
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + size):
                    one = held.enter_context(socket.socket())
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise RuntimeError("no free ports")


class Stack(LocalRun):
    """A local run with its own database, whose partners repeat faster than real ones so that a test need not wait for hours."""

    def __init__(
        self, folder: Path, database_url: str, *, redis_url: str | None = None, time_scale: float = 0.02
    ) -> None:
        first = free_block()
        super().__init__(folder, api_port=first, sandbox_port=first + 1)
        self.database_url, self.redis_url, self.time_scale = database_url, redis_url, time_scale

    def base_environment(self) -> dict[str, str]:
        known = super().base_environment()
        known |= {
            "DATABASE_URL": self.database_url, "WORKER_LEASE_SECONDS": "3", "LOG_LEVEL": "info", "DELIVERY_POLL_MINUTES": "1",
            "PAYMENTS_SENDING_SECONDS": "6", "PAYMENTS_ASK_EVERY_SECONDS": "0.3",
        }  # fmt: skip
        if self.redis_url:
            known["REDIS_URL"] = self.redis_url
        return known

    async def start(self) -> None:
        await super().start()
        async with aiohttp.ClientSession() as session:
            for offset in range(1, 6):
                partner = Cast(session, "", self.sandbox_port).partner(offset)
                await partner.do("POST", "/config", {"time_scale": self.time_scale})

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    def child(self, title: str):
        return next(c for c in self.children if c.name == title)
