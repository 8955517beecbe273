"""The command line of the product: parsing, configuration, one command. What a command does lives in its slice."""

import argparse
import asyncio
import sys

from backend.commands import couriers, database, desk, operate, parcels, window
from backend.commands.terminal import Refused
from kernel import config
from kernel.problems import Problem


def parser() -> argparse.ArgumentParser:
    """Every command with its Chinese help."""
    top = argparse.ArgumentParser(prog="python -m backend", description="掌上办 后台命令")
    commands = top.add_subparsers(dest="command", required=True, metavar="命令")
    for module in (operate, database, couriers, parcels, desk, window):
        module.add(commands)
    return top


def main(argv: list[str]) -> int:
    """Runs one command. 2: the configuration is wrong, every complaint listed. 1: the command was refused, with the reason."""
    arguments = parser().parse_args(argv)
    try:
        return int(asyncio.run(arguments.run(arguments)) or 0)
    except config.ConfigError as error:
        sys.stderr.write("配置有问题，请改正后重试：\n" + "".join(f"  - {c}\n" for c in error.complaints))
        return 2
    except Problem as problem:
        lines = [problem.detail, *(f"  - {e.pointer}：{e.message}" for e in problem.errors)]
        sys.stderr.write("\n".join(lines) + "\n")
        return 1
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    except KeyboardInterrupt:
        return 130
