"""`python -m sandbox`: starts every partner on its own loopback port, writes sandbox.env, ends cleanly on a signal."""

import argparse
import asyncio
import errno
import fcntl
import importlib
import importlib.util
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import IO

from sandbox.keys import KeyFolder
from sandbox.page import ControlServer
from sandbox.partner import Partner, Run
from sandbox.store import Database

# A module that is missing is simply not served.
PARTNER_MODULES = ("wechat", "register", "wechat_pay", "one_window", "ems", "alipay", "unified_pay")


class StartError(Exception):
    """The sandbox cannot start; the text tells the operator, in Chinese, what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run until SIGTERM or SIGINT; the exit status."""
    options = _options(arguments)
    try:
        asyncio.run(run(options))
    except StartError as error:
        sys.stderr.write(f"沙箱没有启动：{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def run(options: argparse.Namespace) -> None:
    """Start everything, say so, wait for the end, stop everything."""
    folder: Path = options.run_folder.absolute()
    lock = _only_one(folder)
    _say("掌上办沙箱正在启动（首次启动要生成密钥，约需几秒）…")
    database = Database(folder / "state.sqlite3")
    known = Run(folder, database, options.host, options.base_port, options.product_url)
    partners: list[Partner] = []
    page: ControlServer | None = None
    try:
        found = [name for name in PARTNER_MODULES if importlib.util.find_spec(f"sandbox.{name}") is not None]
        for number, name in enumerate(found, start=1):
            partner: Partner = importlib.import_module(f"sandbox.{name}").build(known)
            await _listen(partner.start, partner.title, partner.port)
            partners.append(partner)
            _say(f"  [{number}/{len(found)}] {partner.title} {partner.url}")
        # Written before the page listens: whoever waits for the page may read the settings at once.
        environment = write_environment(folder, partners)
        page = ControlServer(known, partners)
        await _listen(page.start, "控制台页面", known.base_port)
        _say(f"  产品所需的设置已写入 {environment}")
        _say(f"沙箱已就绪：请用浏览器打开 {page.url}/ 扮演微信用户、银行、窗口与快递员（按 Ctrl+C 结束）")
        await _until_told()
        _say("沙箱正在结束，状态已保存…")
    finally:
        for server in ([page] if page else []) + partners[::-1]:
            await server.stop()
        database.close()
        lock.close()


def write_environment(folder: Path, partners: Sequence[Partner]) -> Path:
    """`sandbox.env`: one KEY=value line per setting that the product needs, readable by the owner only."""
    lines = []
    for partner in partners:
        lines.append(f"# {partner.title}")
        lines += [f"{name}={shlex.quote(value)}" for name, value in partner.environment().items()]
    return KeyFolder(folder).write("sandbox.env", "\n".join(lines) + "\n")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="掌上办沙箱：在本机扮演全部外部合作方。")
    parser.add_argument(
        "--run-folder", type=Path, default=Path(".run/sandbox"), help="存放状态、密钥与 sandbox.env 的文件夹"
    )
    parser.add_argument("--base-port", type=_port, default=18100, help="控制台页面的端口，合作方依次为其后各端口")
    parser.add_argument("--host", choices=("127.0.0.1", "localhost"), default="127.0.0.1", help="只允许本机地址")
    parser.add_argument("--product-url", default="http://127.0.0.1:8000", help="产品接收回调的地址")
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    port = int(text)
    if not 1024 <= port <= 65000:
        raise argparse.ArgumentTypeError("端口必须在 1024 到 65000 之间")
    return port


def _only_one(folder: Path) -> IO[bytes]:
    """Two sandboxes on one folder would answer from the same state twice; the lock ends with the process."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (folder / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StartError(f"另一个沙箱正在使用运行目录 {folder}，请先结束它，或用 --run-folder 另选目录。") from error
    return lock


async def _listen(start: Callable[[], Awaitable[None]], title: str, port: int) -> None:
    try:
        await start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise StartError(
            f"端口 {port}（{title}）已被其他程序占用。请先结束那个程序，或换一组端口，例如 --base-port 28100。"
        ) from error


async def _until_told() -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await told.wait()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
