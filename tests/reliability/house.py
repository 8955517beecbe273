"""The whole product for the reliability tests: sandboxes as processes that outlive everything, API and worker born from a zygote and killed at will."""

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path

from deploy.local.processes import ROOT, StartFailed, python
from tests.journeys.stack import Stack
from tests.services import Postgres


class Zygote:
    """The parent of every API and worker of one house."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                python("-m", "tests.reliability.zygote"), cwd=ROOT, env=environment, text=True, bufsize=1,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, start_new_session=True,
            )  # fmt: skip

    def ask(self, order: str) -> int:
        self.process.stdin.write(order + "\n")
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


class Life:
    """One place in the house, filled by one process after another."""

    def __init__(self, zygote: Zygote, role: str, log: Path) -> None:
        self.zygote, self.role, self.log, self.pid = zygote, role, log, 0
        self.name = {"api": "接口", "worker": "后台任务"}[role]

    def start(self) -> None:
        self.pid = self.zygote.ask(f"start {self.role} {self.log}")

    @property
    def alive(self) -> bool:
        return self.pid != 0 and self.zygote.ask(f"ended {self.pid}") == 0

    def kill(self) -> None:
        """SIGKILL to the process alone: what it started must notice by itself."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self._wait(10)

    async def stop(self, seconds: float = 25) -> None:
        if self.alive:
            os.kill(self.pid, signal.SIGTERM)
            await asyncio.to_thread(self._wait, seconds)

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.zygote.ask(f"ended {self.pid}") == 0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.role} {self.pid} does not end")
            time.sleep(0.002)
        self.pid = 0


class House(Stack):
    """A stack whose product can be killed and is back after a tenth of a second. `server` is a database of its own that may crash too."""

    server: Postgres

    async def start_product(self) -> None:
        self.zygote = Zygote(self.environment, self.folder / "logs" / "zygote.log")
        self.lives = {role: Life(self.zygote, role, self.folder / "logs" / f"{role}.log") for role in ("api", "worker")}
        for life in self.lives.values():
            life.start()
        await self.until_ready()

    async def until_ready(self, seconds: float = 30) -> None:
        """Waits until the API says that it is ready; a process that ended by itself is a failure."""
        deadline = time.monotonic() + seconds
        while not await self.is_ready():
            for life in self.lives.values():
                if not life.alive:
                    raise StartFailed(f"{life.name} 意外退出：{self.last_words(life)}")
            if time.monotonic() > deadline:
                raise StartFailed(f"接口在 {seconds:.0f} 秒内没有就绪：{self.last_words(self.lives['api'])}")
            await asyncio.sleep(0.02)

    async def is_ready(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.api_port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            status = await asyncio.wait_for(reader.readline(), 5)
            writer.close()
        except (OSError, TimeoutError):
            return False
        return b" 200 " in status

    def kill(self, role: str) -> None:
        self.lives[role].kill()

    def revive(self, role: str) -> None:
        self.lives[role].start()

    async def examine(self) -> list[str]:
        """Sentences about what must not be true of a house at rest: books that do not add up, children without a parent."""
        found = []
        try:
            await self.command("ledger", "check")
        except StartFailed as refused:
            found.append(str(refused))
        found += [f"a photo child outlived its API: {command}" for command in orphans()]
        for role, life in self.lives.items():
            if not life.alive:
                found.append(f"{role} ended by itself: {self.last_words(life)}")
        return found

    def last_words(self, life: Life) -> str:
        text = life.log.read_text(encoding="utf-8", errors="replace") if life.log.exists() else ""
        return "\n".join(text.strip().splitlines()[-12:])

    async def stop(self) -> None:
        if hasattr(self, "zygote"):
            for life in self.lives.values():
                await life.stop()
            self.zygote.close()
        await super().stop()


def orphans() -> list[str]:
    """Photo children whose parent is gone."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if "photos" in command and "child" in command and parent == 1:
            found.append(command.strip())
    return found
