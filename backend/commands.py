"""The command line: parses, loads the configuration, runs one command. What a command does lives in its slice."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

from backend.wiring import APPS
from kernel import config, migrate
from kernel.settings import DatabaseSettings

Command = Callable[[argparse.Namespace], Awaitable[int]]


def say(text: str) -> None:
    """One line to the person at the terminal."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def _migrate(arguments: argparse.Namespace) -> int:
    settings = config.load_one(DatabaseSettings)
    await migrate.migrate(settings, APPS, progress=lambda name: say(f"  已执行 {name}"))
    say("数据库结构已是最新")
    return 0


async def _makemigrations(arguments: argparse.Namespace) -> int:
    from kernel import makemigrations

    for line in await makemigrations.write(APPS, arguments.app):
        say(line)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend", description="掌上办 后台命令")
    commands = parser.add_subparsers(dest="command", required=True, metavar="命令")
    commands.add_parser("migrate", help="建立或升级数据库结构").set_defaults(run=_migrate)
    make = commands.add_parser("makemigrations", help="（开发）根据模型生成迁移文件")
    make.add_argument("app", choices=sorted(APPS))
    make.set_defaults(run=_makemigrations)
    return parser


def main(argv: list[str]) -> int:
    """Runs one command; a configuration fault ends with exit code 2 and every complaint listed."""
    arguments = _parser().parse_args(argv)
    try:
        return asyncio.run(arguments.run(arguments))
    except config.ConfigError as error:
        sys.stderr.write("配置有问题，请改正后重试：\n" + "".join(f"  - {c}\n" for c in error.complaints))
        return 2
