"""The product as it is deployed: its own migrations, seed and settings, and the real API process on a CPU of its own."""

import asyncio
from pathlib import Path

from bench import machine
from deploy.local.processes import Managed, python, until_listening
from tests.journeys.stack import Stack


class Product(Stack):
    """A prepared database and one API process. The worker stays off: promises are written and counted, not worked."""

    def __init__(self, folder: Path, database_url: str) -> None:
        super().__init__(folder, database_url)
        self.api_process: Managed

    def base_environment(self) -> dict[str, str]:
        """The settings a deployment has, with the shipped log level."""
        return super().base_environment() | {"LOG_LEVEL": "info"}

    async def prepare(self) -> None:
        """Settings, schema and catalogue. The partners run only long enough to hand over their settings."""
        for name in ("logs", "data"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.environment = self.base_environment()
        await self.start_sandbox()
        await self.prepare_database()
        await self.children.pop().stop()

    async def start_api(self, cpu: int) -> None:
        """The API process, pinned."""
        command = machine.pinned(cpu, python("-m", "miniprogram_api"))
        self.api_process = Managed("接口", command, self.environment, self.folder / "logs" / "api.log")
        self.children.append(self.api_process)
        await self.api_process.start()
        await until_listening(self.api_process, self.api_port)

    @property
    def api_pid(self) -> int:
        """Root of the API's process tree."""
        assert self.api_process.process is not None
        return self.api_process.process.pid


async def start_pinned(
    name: str, cpu: int, command: list[str], environment: dict[str, str], log: Path, port: int
) -> Managed:
    """A floor or a peer on the server's CPU."""
    child = Managed(name, machine.pinned(cpu, command), environment, log)
    await child.start()
    await until_listening(child, port)
    await asyncio.sleep(0.2)
    return child
