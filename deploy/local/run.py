"""`make run`: sandbox partners, database, catalogue, API and worker on this machine, until Ctrl-C."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from deploy.local import secrets
from deploy.local.processes import (
    INHERITED,
    ROOT,
    Managed,
    StartFailed,
    end_with_parent,
    inherited,
    is_taken,
    port,
    python,
    read_environment,
    run_folder,
    until_listening,
    write_environment,
)

_SANDBOX_PORTS = 9
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def say(text: str) -> None:
    """One line to the person at the terminal."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class LocalRun:
    """Everything that belongs to one local run, kept in one ignored folder."""

    def __init__(self, folder: Path, *, api_port: int, sandbox_port: int) -> None:
        self.folder, self.api_port, self.sandbox_port = folder, api_port, sandbox_port
        self.children: list[Managed] = []
        self.environment: dict[str, str] = {}

    def base_environment(self) -> dict[str, str]:
        """What the product needs to know beside the partners."""
        return inherited() | {
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": os.environ.get("DATABASE_URL", f"sqlite://{self.folder / 'zsb.sqlite3'}"),
            "DATA_FOLDER": str(self.folder / "data"),
            "API_PORT": str(self.api_port),
            "PAPERS_PUBLIC_URL": f"http://127.0.0.1:{self.api_port}",
            "WECHATPAY_NOTIFY_URL": f"http://127.0.0.1:{self.api_port}/api/v1/callbacks/wechat-pay",
            **({"REDIS_URL": os.environ["REDIS_URL"]} if "REDIS_URL" in os.environ else {}),
            **secrets.prepare(self.folder / "secrets"),
        }

    async def start(self) -> None:
        """Starts everything in order; raises StartFailed with a Chinese explanation."""
        self._check_ports()
        self._prepare_folder()
        # Side by side what does not wait for each other: a person is watching.
        await _all(self.start_sandbox(), self.migrate())
        self.write_environment()
        await self.fill_database()
        await _all(self.tell_sandbox_the_items(), self.start_product())

    def _prepare_folder(self) -> None:
        try:
            for name in ("logs", "data", "sandbox"):
                (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            self.environment = self.base_environment()
        except OSError as error:
            raise StartFailed(
                f"不能在 {self.folder} 里建立运行数据（{error.filename or self.folder}：{os.strerror(error.errno or 0)}）。"
                "请检查它是不是一个可写的文件夹，或用 RUN_FOLDER=别的文件夹 make run 另选一处"
            ) from None

    def write_environment(self) -> None:
        """What `make zsb` reads, so that a person's command finds the same database, keys and partners."""
        write_environment(
            self.folder / "environment", {k: v for k, v in self.environment.items() if k not in INHERITED}
        )

    def _check_ports(self) -> None:
        if self.api_port in range(self.sandbox_port, self.sandbox_port + _SANDBOX_PORTS):
            raise StartFailed(
                f"API_PORT={self.api_port} 落在沙箱要用的端口 {self.sandbox_port} 到 "
                f"{self.sandbox_port + _SANDBOX_PORTS - 1} 里，请换一个，或改 SANDBOX_PORT"
            )
        wanted = {self.api_port: "API_PORT", **{self.sandbox_port + n: "SANDBOX_PORT" for n in range(_SANDBOX_PORTS)}}
        taken = {port: name for port, name in wanted.items() if is_taken(port)}
        if taken:
            names = " 或 ".join(sorted(set(taken.values())))
            raise StartFailed(
                f"端口 {'、'.join(map(str, sorted(taken)))} 已被占用：可能上一次 make run 还在运行。"
                f"请先停止它，或换端口启动，例如 API_PORT=8080 SANDBOX_PORT=18200 make run（设置 {names}）"
            )

    async def start_sandbox(self) -> None:
        """The partners, each over its real wire protocol."""
        say("· 启动沙箱合作方（微信、人口库、微信支付、一窗受理、邮政快递、支付宝、统一公共支付）")
        folder = self.folder / "sandbox"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        child = self._child(
            "沙箱", "sandbox", "-m", "sandbox", "--run-folder", str(folder), "--base-port", str(self.sandbox_port),
            "--product-url", f"http://127.0.0.1:{self.api_port}",
        )  # fmt: skip
        await child.start()
        await until_listening(child, self.sandbox_port)
        self.environment |= read_environment(folder / "sandbox.env")

    async def prepare_database(self) -> None:
        """Schema, catalogue and the sandbox's knowledge of it, all safe to repeat."""
        await self.migrate()
        await self.fill_database()
        await self.tell_sandbox_the_items()

    async def migrate(self) -> None:
        """The schema."""
        await self.command("migrate")

    async def fill_database(self) -> None:
        """The county's catalogue and the demo's people."""
        say("· 建立数据库结构，导入事项目录和演示数据")
        await self.command("seed", "--demo")

    async def tell_sandbox_the_items(self) -> None:
        """The platform of the sandbox learns the county's items as a real one would: from a list that is handed to it."""
        await self.command("tasks", "--to", str(self.folder / "sandbox" / "one_window_tasks.json"))

    async def command(self, *arguments: str) -> str:
        """Runs one `python -m backend` command to its end and answers what it printed."""
        process = await asyncio.create_subprocess_exec(
            *python("-m", "backend", *arguments), cwd=ROOT, env=self.environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, preexec_fn=end_with_parent,
        )  # fmt: skip
        try:
            output = (await process.communicate())[0].decode(errors="replace")
        finally:
            if process.returncode is None:  # we were told to stop meanwhile
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise StartFailed(f"python -m backend {' '.join(arguments)} 失败：\n{output.strip()}")
        return output

    async def start_product(self) -> None:
        """The API and the worker."""
        say("· 启动接口和后台任务")
        api = self._child("接口", "api", "-m", "miniprogram_api")
        worker = self._child("后台任务", "worker", "-m", "backend", "worker")
        await asyncio.gather(api.start(), worker.start())
        await until_listening(api, self.api_port)
        await asyncio.sleep(0.3)
        if not worker.alive:
            raise StartFailed(f"后台任务没有启动成功（日志 {worker.log}）：\n{worker.last_words()}")

    async def first_to_end(self) -> Managed:
        """Waits until some child ends by itself, which none should."""
        waits = {asyncio.ensure_future(c.wait()): c for c in self.children}
        done, rest = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        return waits[done.pop()]

    async def stop(self) -> None:
        """Product first, partners last, so that nobody calls into a void."""
        for child in reversed(self.children):
            await child.stop()

    def _child(self, title: str, log: str, *arguments: str) -> Managed:
        child = Managed(title, python(*arguments), self.environment, self.folder / "logs" / f"{log}.log")
        self.children.append(child)
        return child


async def _all(*steps: Coroutine[Any, Any, None]) -> None:
    """Runs steps side by side; the first that fails ends the others and is the one reported."""
    tasks = [asyncio.ensure_future(step) for step in steps]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def main() -> int:
    """Runs until Ctrl-C; exit code 1 when something does not start or dies."""
    stop = asyncio.Event()
    for sign in _SIGNALS:  # a closed terminal (SIGHUP) must not leave processes behind either
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    try:
        run = LocalRun(run_folder(), api_port=port("API_PORT", 8000), sandbox_port=port("SANDBOX_PORT", 18100))
    except StartFailed as error:
        say(f"✗ {error}")
        return 2
    serving = asyncio.ensure_future(_serve(run))
    told = asyncio.ensure_future(stop.wait())
    try:
        # Ctrl-C counts from the first second, also while a database is being built.
        await asyncio.wait([serving, told], return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            say("正在停止…")
            return 0
        return serving.result()
    except StartFailed as error:
        say(f"✗ {error}")
        return 1
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await run.stop()
        say("已停止")


async def _serve(run: LocalRun) -> int:
    """Starts everything and watches it; returns only when some process ended by itself."""
    began = time.monotonic()
    await run.start()
    say(f"\n掌上办已就绪（{time.monotonic() - began:.1f} 秒）")
    say(f"  接口        http://127.0.0.1:{run.api_port}/docs")
    say(f"  沙箱页面    http://127.0.0.1:{run.sandbox_port}/   （扮演微信用户、银行、窗口人员、快递员）")
    say(f"  日志        {run.folder / 'logs'}/")
    say("  演示一次完整办事：另开一个终端执行 make demo")
    say('  后台命令    另开一个终端执行 make zsb ARGS="doctor"')
    say("  按 Ctrl-C 停止\n")
    child = await run.first_to_end()
    say(f"✗ {child.name} 意外退出（日志 {child.log}）：\n{child.last_words()}")
    return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
