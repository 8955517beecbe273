"""Starts, watches and stops the processes of a local run; shared by `make run` and the tests that need real processes."""

import asyncio
import ctypes
import os
import shlex
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


# What a shell has of its own and an operator's command must not get from a file.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Runs in the child: when whoever started it is killed without a chance to clean up, the child is asked to end too."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class StartFailed(Exception):
    """A process did not come up; the text says which, why and what to do, in Chinese."""


@dataclass
class Managed:
    """One child process with its log file."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = field(default=None)
    _began_at: int = 0

    async def start(self) -> None:
        """Starts it in a process group of its own, so that Ctrl-C reaches only us and we stop them in order."""
        with self.log.open("ab") as log:
            self._began_at = log.tell()
            self.process = await asyncio.create_subprocess_exec(
                *self.command, cwd=ROOT, env=dict(self.environment), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=end_with_parent,
            )  # fmt: skip

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process is not None and self.process.returncode is None

    def kill(self) -> None:
        """SIGKILL, as the machine would."""
        if self.alive and self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """Waits for its end."""
        return await self.process.wait() if self.process is not None else 0

    async def stop(self, seconds: float = 25) -> None:
        """Asks it to end and insists after a while."""
        if not self.alive or self.process is None:
            return
        self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            self.kill()
            await self.process.wait()

    def last_words(self, lines: int = 12) -> str:
        """The end of what this start wrote to its log: words of an earlier run would explain the wrong thing."""
        try:
            text = self.log.read_bytes()[self._began_at :].decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return "\n".join("    " + line for line in text[-lines:])


def python(*arguments: str) -> list[str]:
    """A command line for this very interpreter."""
    return [sys.executable, *arguments]


async def until_listening(child: Managed, port: int, seconds: float = 40) -> None:
    """Waits until the child accepts connections. Raises StartFailed when it ends or takes too long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while loop.time() < deadline:
        if not child.alive:
            raise StartFailed(f"{child.name} 没有启动成功（日志 {child.log}）：\n{child.last_words()}")
        if is_taken(port):
            return
        await asyncio.sleep(0.05)
    raise StartFailed(f"{child.name} 在 {seconds:.0f} 秒内没有就绪（日志 {child.log}）：\n{child.last_words()}")


def is_taken(port: int) -> bool:
    """Whether something listens on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def read_environment(path: Path) -> dict[str, str]:
    """The KEY=value lines of an environment file."""
    pairs = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, value = line.partition("=")
            pairs[name] = "".join(shlex.split(value))
    return pairs


def write_environment(path: Path, settings: Mapping[str, str]) -> None:
    """Writes KEY=value lines for a shell and for `read_environment`; only the owner may read them."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={shlex.quote(value)}\n" for name, value in sorted(settings.items()))
    fresh.replace(path)


def inherited() -> dict[str, str]:
    """What a child gets of the terminal's environment; everything else is told to it."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def run_folder() -> Path:
    """Where the local run keeps everything it has."""
    return Path(os.environ.get("RUN_FOLDER") or ROOT / ".run").absolute()


def port(name: str, default: int) -> int:
    """A port from the environment. Raises StartFailed for what is none."""
    text = os.environ.get(name, "").strip() or str(default)
    if not text.isdecimal() or not 1024 <= int(text) <= 65000:
        raise StartFailed(f"{name}={text} 不是可用的端口号，请写 1024 到 65000 之间的数字")
    return int(text)
