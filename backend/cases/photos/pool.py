"""A small pool of children that decode photos: started when needed, killed when late, never able to hurt the parent."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any

import msgspec

from backend.cases.photos.formats import REFUSALS, PhotoDamaged, PhotoTooHeavy
from kernel.problems import Problem

WALL_SECONDS = 10.0
# A child is replaced after so many photos, so that no decoder's leak can grow for ever.
PHOTOS_PER_CHILD = 200
# Whoever would wait longer than this behind others is sent away with a retry hint instead of piling up.
MAX_WAITING = 32
_CHILD = Path(__file__).with_name("child.py")


class PhotoCheckBusy(Problem):
    """More photos are waiting than can be checked in decent time; nothing was lost, the phone repeats."""

    status, code, title = 503, "photo-check-busy", "上传的人较多，请稍等几秒再试"


class CheckedPhoto(msgspec.Struct, frozen=True, kw_only=True):
    """The clean picture and its thumbnail as written by the child; sizes in pixels."""

    width: int
    height: int
    source_width: int
    source_height: int
    thumbnail_width: int
    thumbnail_height: int


class PhotoPool:
    """At most `workers` children. `check` may be called from any number of tasks of one event loop."""

    def __init__(self, *, workers: int = 2, wall_seconds: float = WALL_SECONDS, program: Path = _CHILD) -> None:
        self._slots = asyncio.Semaphore(workers)
        self._wall_seconds = wall_seconds
        self._program = program
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._waiting = 0

    async def check(self, *, source: Path, kind: str, photo: Path, thumbnail: Path) -> CheckedPhoto:
        """Decode `source` (JPEG, PNG or WEBP as sniffed) and write the clean photo and its thumbnail.

        Raises a PhotoRefused with what the person should do, or PhotoCheckBusy.
        """
        if self._waiting >= MAX_WAITING:
            raise PhotoCheckBusy(retry_after_seconds=3)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            order = {"source": str(source), "kind": kind, "photo": str(photo), "thumbnail": str(thumbnail)}
            return _understand(await self._ask(order))
        finally:
            self._slots.release()

    async def _ask(self, order: dict[str, str]) -> dict[str, Any]:
        child = await self._child()
        self._busy.add(child)
        try:
            reply = await child.ask(order, self._wall_seconds)
        except BaseException:
            # Late, dead, or nobody waits any more: its next answer would belong to the wrong photo.
            await child.kill()
            raise
        finally:
            self._busy.discard(child)
        if child.photos >= PHOTOS_PER_CHILD:
            await child.kill()
        else:
            self._idle.append(child)
        return reply

    async def _child(self) -> "_Child":
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            await child.kill()
        return await _Child.start(self._program)

    async def close(self) -> None:
        """End every child; called when the process stops."""
        for child in [*self._idle, *self._busy]:
            await child.kill()
        self._idle.clear()


class _Child:
    """One process and the conversation with it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.photos = 0

    @classmethod
    async def start(cls, program: Path) -> "_Child":
        """A new interpreter, not a fork.

        It shares no memory, no descriptor and no secret of the environment with us.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(program),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={"PATH": os.defpath},
            cwd="/",
        )
        return cls(process)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def ask(self, order: dict[str, str], wall_seconds: float) -> dict[str, Any]:
        """One photo, one answer; a child that dies or is late has refused."""
        self.photos += 1
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the child was started without pipes")
        try:
            async with asyncio.timeout(wall_seconds):
                stdin.write(json.dumps(order).encode() + b"\n")
                await stdin.drain()
                line = await stdout.readline()
        except (TimeoutError, ConnectionError):
            raise PhotoTooHeavy from None
        if not line:
            raise PhotoTooHeavy if await self._process.wait() == -signal.SIGXCPU else PhotoDamaged
        reply: dict[str, Any] = json.loads(line)
        return reply

    async def kill(self) -> None:
        """End the process and wait until it is gone, also when the caller is being cancelled."""
        if self.alive:
            try:
                self._process.kill()
            except ProcessLookupError:
                return
        await asyncio.shield(self._process.wait())


def _understand(reply: dict[str, Any]) -> CheckedPhoto:
    if "refused" in reply:
        raise REFUSALS.get(str(reply["refused"]), PhotoDamaged)()
    return msgspec.convert(reply, CheckedPhoto)
